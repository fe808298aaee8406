"""What is measured: how each subject is started, and which kinds of question it is asked."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import chat, nginx
from bench.probe import answers
from bench.processes import free_port, listens
from bench.results import CONSTANT, DIRECT, HIT, MISS, RELAY, STREAM

NAMES = ("gateway", "relay", "nginx", "constant")

_GATEWAY = """\
[server]
port = {port}
workers = {workers}
[admin]
port = {admin}
key = "env:BENCH_ADMIN_KEY"
[store]
url = "embedded:{data}"
[ledger]
max_rows = {rows}
[[upstreams]]
name = "scripted"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "env:BENCH_UPSTREAM_KEY"
[[keys]]
name = "bench"
secret = "env:BENCH_KEY"
limits = ["1000M requests/hour", "1000M tokens/hour", "100k concurrent"]
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of plain requests."""

    name: str
    unique: bool  # each prompt is a new one
    forwards: bool  # each request reaches the upstream
    cache: str | None = None  # what `x-gateway-cache` has to say


@dataclass(frozen=True, slots=True)
class Subject:
    """A server under measurement: how to start it, and what to ask it."""

    name: str
    port: int
    command: Sequence[str]
    ready: Callable[[], bool]
    rows: Sequence[Row]
    stream_row: str | None = None  # its name in the table of streams; None: it is not asked for any
    environment: dict[str, str] = field(default_factory=dict)
    further: dict[str, str] = field(default_factory=dict)  # header fields that it has to be asked with
    seconds: float = 30  # in which it has to be ready


def upstream(port: int, name: str = "upstream") -> Subject:
    """The scripted upstream, asked directly: the ceiling of the apparatus."""
    rows = [Row(DIRECT, unique=True, forwards=True)]
    command = _module("upstream", "--port", port)
    return Subject(name, port, command, lambda: answers(port, "/stats"), rows)


def prepare(name: str, upstream: int, folder: Path) -> Subject:
    """The subject of that name, on a free port, its files (if any) written into its own new folder."""
    if name == "gateway":
        return gateway(name, upstream, folder)
    home = folder / name
    home.mkdir(mode=0o700)
    return _MAKERS[name](free_port(), upstream, home)


def gateway(
    name: str,
    upstream: int,
    folder: Path,
    *,
    workers: int = 1,
    data: Path | None = None,
    rows: int = 100_000,
    more: str = "",
) -> Subject:
    """One with so many workers, its store in `data` (or in a folder of its own), for so many ledger rows.

    `more` is what its configuration says beyond the usual, as further tables.
    """
    home = folder / name
    home.mkdir(mode=0o700)
    port, admin, written = free_port(), free_port(), home / "gateway.toml"
    values = {"port": port, "admin": admin, "upstream": upstream, "workers": workers, "rows": rows}
    written.write_text(_GATEWAY.format(data=data or home / "data", **values) + more)
    return Subject(
        name,
        port,
        [sys.executable, "-m", "gateway", "serve", "--config", str(written)],
        lambda: answers(admin, "/readyz"),
        [
            Row(MISS, unique=True, forwards=True, cache="miss"),
            Row(HIT, unique=False, forwards=False, cache="hit"),
        ],
        stream_row=STREAM,
        environment={
            "BENCH_KEY": chat.KEY,
            "BENCH_ADMIN_KEY": os.urandom(32).hex(),
            "BENCH_UPSTREAM_KEY": "sk-scripted",
        },
    )


def _relay(port: int, upstream: int, home: Path) -> Subject:
    command = _module("bare_relay", "--port", port, "--upstream", f"http://127.0.0.1:{upstream}")
    rows = [Row(RELAY, unique=True, forwards=True)]
    return Subject("relay", port, command, lambda: listens(port), rows, RELAY)


def _nginx(port: int, upstream: int, home: Path) -> Subject:
    command = _module("nginx", "--port", port, "--upstream-port", upstream, "--folder", home)
    rows = [Row("nginx proxy_pass", unique=True, forwards=True)]
    return Subject("nginx", port, command, lambda: listens(port), rows, rows[0].name)


def _constant(port: int, upstream: int, home: Path) -> Subject:
    rows = [Row(CONSTANT, unique=False, forwards=False)]
    command = _module("constant", "--port", port)
    return Subject("constant", port, command, lambda: listens(port), rows)


def _module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"bench.{name}", *map(str, arguments)]


def missing(name: str) -> str | None:
    """What has to be installed before this subject can run, or None."""
    return "nginx" if name == "nginx" and nginx.binary() is None else None


_MAKERS: Mapping[str, Callable[[int, int, Path], Subject]] = {
    "relay": _relay,
    "nginx": _nginx,
    "constant": _constant,
}
