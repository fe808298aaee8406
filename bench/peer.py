"""The peers: where each comes from, and how it is started with the least that makes it relay.

Each is given what its documentation recommends for speed and no more: one process, quiet logs, no database.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import chat, install
from bench.probe import answers_chat
from bench.processes import free_port
from bench.subjects import Row, Subject

_READY_SECONDS = 90  # one of them imports for half a minute

_LITELLM = """\
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: sk-scripted
general_settings:
  master_key: {key}
litellm_settings:
  telemetry: false
  drop_params: false
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """`home` is the folder below the common one that it is installed in."""

    name: str
    package: str
    installer: Callable[[Path, str], None]
    started: Callable[[Path, int, int, Path], tuple[list[str], dict[str, str], dict[str, str]]]

    def install(self, folder: Path) -> None:
        """Raises NotInstalledError."""
        self.installer(folder / self.name, self.package)

    def subject(self, folder: Path, upstream: int, home: Path) -> Subject:
        port = free_port()
        command, environment, further = self.started(folder / self.name, port, upstream, home)
        return Subject(
            self.name,
            port,
            command,
            lambda: answers_chat(port, further),
            [Row(self.name, unique=True, forwards=True)],
            stream_row=self.name,
            environment=environment,
            further=further,
            seconds=_READY_SECONDS,
        )

    def version(self, folder: Path) -> str:
        """What is installed, as the package says it of itself."""
        here, bare = folder / self.name, self.package.partition("[")[0]
        for told in here.glob(f"lib/python*/site-packages/{bare}-*.dist-info"):
            return told.name.removesuffix(".dist-info").partition("-")[2]
        manifest = here / "node_modules" / bare / "package.json"
        return str(json.loads(manifest.read_text())["version"]) if manifest.exists() else "not installed"


def _litellm(
    here: Path, port: int, upstream: int, home: Path
) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Its own key is checked; its price list is the one that came with it."""
    written = home / "config.yaml"
    written.write_text(_LITELLM.format(upstream=upstream, key=chat.KEY))
    command = [str(here / "bin" / "litellm"), "--config", str(written), "--host", "127.0.0.1"]
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_SALT_KEY": f"sk-{secrets.token_hex(16)}",
    }
    return [*command, "--port", str(port), "--num_workers", "1"], environment, {}


def _portkey(
    here: Path, port: int, upstream: int, home: Path
) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """It keeps no key: the client says in each request where it goes, and brings the key of that place."""
    built = here / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    further = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
    }
    command = ["node", str(built), f"--port={port}", "--headless"]
    return command, {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}, further


def _smg(
    here: Path, port: int, upstream: int, home: Path
) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Its key is checked; the worker is an OpenAI-shaped one that is not asked for its health."""
    command = [
        *(str(here / "bin" / "smg"), "launch", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend", "openai", "--worker-urls", f"http://127.0.0.1:{upstream}"),
        *("--api-key", chat.KEY, "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())),
        *("--disable-health-check", "--disable-load-monitoring", "--log-level", "error"),
    ]
    return command, {}, {}


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("litellm", "litellm[proxy]", install.from_pypi, _litellm),
        Peer("portkey", "@portkey-ai/gateway", install.from_npm, _portkey),
        Peer("smg", "smg", install.from_pypi, _smg),
    )
}
