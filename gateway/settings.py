"""The settings, as plain records. `config` reads them from a file and the environment and checks them.

A field's comment is its documentation: `docs/configuration.md` has a row for each (a test compares them).
"""

import re
from typing import Any, Literal

import msgspec

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)(B|kB|MB|GB|KiB|MiB|GiB)$")
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class Duration(float):
    """Seconds, written as `250ms`, `30s`, `5m`, `24h` or `7d`."""

    @classmethod
    def parse(cls, text: object) -> "Duration":
        match = _DURATION.match(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"expected a duration such as 250ms, 30s, 5m, 24h or 7d, got {text!r}")
        return cls(float(match[1]) * _SECONDS[match[2]])

    @property
    def ms(self) -> int:
        return round(self * 1000)


class Size(int):
    """Bytes, written as `64KiB`, `1MiB`, `10MB`."""

    @classmethod
    def parse(cls, text: object) -> "Size":
        match = _SIZE.match(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"expected a size such as 64KiB, 1MiB or 10MB, got {text!r}")
        return cls(float(match[1]) * _BYTES[match[2]])


LimitText = str | dict[str, Any]


class Server(msgspec.Struct, forbid_unknown_fields=True):
    """The public listener: `/v1/...`, `/gateway/me`, `/healthz`."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    drain_timeout: Duration = Duration(60)
    limits: list[LimitText] = []
    timezone: str = "UTC"
    max_body: Size = Size(64 * 2**20)
    max_answer: Size = Size(64 * 2**20)
    header_timeout: Duration = Duration(15)
    body_timeout: Duration = Duration(30)
    write_timeout: Duration = Duration(60)


class Admin(msgspec.Struct, forbid_unknown_fields=True):
    """The admin listener: `/admin/v1/...`, `/metrics`, `/healthz`, `/readyz`."""

    host: str = "127.0.0.1"
    port: int = 8081
    key: str = ""


class Store(msgspec.Struct, forbid_unknown_fields=True):
    """Keys and quotas: a server that must not evict."""

    url: str = "embedded:./gateway-data"
    deadline: Duration = Duration(0.25)
    lease: Duration = Duration(30)


class Upstream(msgspec.Struct, forbid_unknown_fields=True):
    """One provider account. The lowest `priority` is tried first, then the greatest `weight`."""

    name: str
    base_url: str
    api_key: str = ""
    models: list[str] = msgspec.field(default_factory=lambda: ["*"])
    priority: int = 0
    weight: int = 1
    connect_timeout: Duration = Duration(5)
    first_byte_timeout: Duration = Duration(600)
    idle_timeout: Duration = Duration(120)


class Models(msgspec.Struct, forbid_unknown_fields=True):
    retired: Literal["keep", "redirect", "refuse"] = "keep"
    aliases: dict[str, str] = {}
    output_caps: dict[str, int] = {}


class Cache(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool = True
    url: str = ""
    ttl: Duration = Duration(3600)
    scope: Literal["private", "team", "all"] = "team"
    max_entry: Size = Size(2**20)
    max_memory: Size = Size(256 * 2**20)


class Endpoints(msgspec.Struct, forbid_unknown_fields=True):
    allow: list[str] = msgspec.field(default_factory=lambda: ["inference"])
    unknown: Literal["refuse", "forward"] = "refuse"
    ownership: Literal["on", "off"] = "on"


class Team(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    limits: list[LimitText] = []
    models: list[str] = msgspec.field(default_factory=lambda: ["*"])
    endpoints: list[str] | None = None


class Key(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    secret: str
    team: str | None = None
    limits: list[LimitText] = []
    models: list[str] = msgspec.field(default_factory=lambda: ["*"])
    endpoints: list[str] | None = None
    addresses: list[str] = []
    expires: str | None = None
    cache_scope: Literal["private", "team", "all"] | None = None
    tags: dict[str, str] = {}


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    server: Server = msgspec.field(default_factory=Server)
    admin: Admin = msgspec.field(default_factory=Admin)
    store: Store = msgspec.field(default_factory=Store)
    upstreams: list[Upstream] = []
    models: Models = msgspec.field(default_factory=Models)
    cache: Cache = msgspec.field(default_factory=Cache)
    endpoints: Endpoints = msgspec.field(default_factory=Endpoints)
    teams: list[Team] = []
    keys: list[Key] = []
