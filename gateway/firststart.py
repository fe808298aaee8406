"""The first start on a store: the admin key and one client key are made, once however many start together.

`first_start` decides and keeps; `welcome` is what to print.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway import __version__
from gateway.configuration.secretchecks import admin_reference
from gateway.policy.credentials import new_admin_key, new_key
from gateway.policy.records import KeyRecord
from gateway.settings import Admin, Settings, Upstream
from gateway.store.base import Keys
from gateway.upstream.secrets import resolve

LOCAL_MODEL = "smollm2-135m-instruct"
OPENAI_MODEL = "gpt-4o-mini"  # every OpenAI account may use it

_ID_BYTES = 6
_SECRET_BYTES = 32
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@dataclass(frozen=True, slots=True)
class FirstStart:
    """`admin_digest` is the SHA-256 of the admin key. The keys are there only when this start made them."""

    admin_digest: bytes = field(repr=False)
    admin_key: str | None = field(default=None, repr=False)
    client_key: str | None = field(default=None, repr=False)


async def first_start(
    keys: Keys, settings: Settings, entropy: Callable[[int], bytes], *, environ: Mapping[str, str], now: int
) -> FirstStart:
    """Settle the admin key, and make a client key named "first" where nobody could be a client yet.

    `entropy` gives that many random bytes; `now` is the store's time in ms. Raises StoreUnavailable, and
    ValueError when the configured admin key cannot be read.
    """
    reference = admin_reference(settings, environ)
    admin_digest, admin_key = await _admin(keys, reference, environ, entropy)
    marked = await _mark(keys, entropy)
    # Whoever made the admin key makes the client key too, so that one process prints both.
    first = marked if reference else admin_key is not None
    client_key = None
    if first and not settings.keys:
        client_key = await _client(keys, entropy, now)
    return FirstStart(admin_digest, admin_key, client_key)


async def _admin(
    keys: Keys, reference: str, environ: Mapping[str, str], entropy: Callable[[int], bytes]
) -> tuple[bytes, str | None]:
    """The digest of the admin key, and the key itself when it is a new one."""
    if reference:
        return hashlib.sha256(resolve(reference, environ).reveal().encode()).digest(), None
    made = new_admin_key(entropy(_SECRET_BYTES))
    fresh = bytes.fromhex(made.digest)
    kept = await keys.secret("admin", fresh)
    return kept, made.key if kept == fresh else None


async def _mark(keys: Keys, entropy: Callable[[int], bytes]) -> bool:
    """Note that there was a first start. True for one process, once: not again when all keys are revoked."""
    mark = entropy(_SECRET_BYTES)
    return await keys.secret("first start", mark) == mark


async def _client(keys: Keys, entropy: Callable[[int], bytes], now: int) -> str | None:
    """The first key, unless there are others; one of its own id was kept by an attempt that broke off."""
    made = new_key(entropy(_ID_BYTES), entropy(_SECRET_BYTES))
    if any(key.id != made.id for key in (await keys.load()).keys):
        return None
    await keys.put_key(KeyRecord(id=made.id, name="first", digest=made.digest, created=now))
    return made.key


def welcome(
    first: FirstStart, settings: Settings, upstreams: Sequence[Upstream], *, local: bool, chosen: bool = False
) -> str:
    """What to print when the gateway serves: addresses, upstreams, and the new keys, each this once.

    `local`: the local model serves too; `chosen`: because somebody asked for it.
    """
    parts = [_banner(settings, upstreams, local, chosen)]
    if first.admin_key:
        parts.append(
            f"Admin key, shown this once (gateway keys reads it from GATEWAY_ADMIN_KEY):\n  {first.admin_key}"
        )
    if first.client_key:
        public, model = _address(settings.server.host, settings.server.port), _model(upstreams)
        parts.append(f'Client key "first", shown this once:\n  {first.client_key}')
        parts.append(_snippet(f"{public}/v1", first.client_key, model))
    parts.append(f"More keys: {_admin_command(settings.admin)} keys create NAME      Stop: Ctrl-C")
    return "\n\n".join(parts) + "\n"


def _banner(settings: Settings, upstreams: Sequence[Upstream], local: bool, chosen: bool) -> str:
    server, admin = settings.server, settings.admin
    lines = [
        f"gateway {__version__}",
        f"  clients   {_address(server.host, server.port)}/v1",
        f"  admin     {_address(admin.host, admin.port)}   /admin/v1 /metrics /healthz /readyz",
    ]
    lines += [f"  upstream  {upstream.name}: {upstream.base_url}" for upstream in upstreams]
    if local:
        why = "" if chosen else "no OPENAI_API_KEY: "
        lines.append(
            f"  upstream  {why}serving SmolLM2-135M-Instruct on this machine's processor "
            "(x-gateway-upstream: local)"
        )
    return "\n".join(lines)


def _snippet(base_url: str, key: str, model: str) -> str:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Say hello."}]})
    return f"""\
Paste this into a file and run it (pip install openai):

from openai import OpenAI

client = OpenAI(base_url="{base_url}", api_key="{key}")
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Say hello."}}],
)
print(answer.choices[0].message.content)

Or into a shell:

curl {base_url}/chat/completions \\
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
  -d '{body}'"""


def _admin_command(admin: Admin) -> str:
    """The command line as it can be typed here: found by its path, and told where the admin listener is."""
    called = Path(sys.argv[0])
    program = str(called) if called.name == "gateway" and shutil.which("gateway") is None else "gateway"
    address, usual = _address(admin.host, admin.port), _address(Admin().host, Admin().port)
    return program if address == usual else f"{program} --admin-url {address}"


def _model(upstreams: Sequence[Upstream]) -> str:
    """A model that the upstream serves: one that its configuration names, or else OpenAI's smallest."""
    named = (model for upstream in upstreams for model in upstream.models if "*" not in model)
    return next(named, OPENAI_MODEL) if upstreams else LOCAL_MODEL


def _address(host: str, port: int) -> str:
    """Where a client on this machine reaches a listener."""
    host = _EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
