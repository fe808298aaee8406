"""The settings, as plain records. `config` reads them from a file and the environment and checks them.

A field's comment is its documentation: `docs/configuration.md` has a row for each (a test compares them).
"""

import re
from decimal import Decimal
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


class Dollars(int):
    """Nano-dollars, written in dollars as a number of at most nine decimals: `2.5`, `0.0001`."""

    @classmethod
    def parse(cls, number: object) -> "Dollars":
        return cls(_scaled(number, 10**9))


class Factor(int):
    """Parts per million, written as a number of at most six decimals: `0.5`, `2`."""

    @classmethod
    def parse(cls, number: object) -> "Factor":
        return cls(_scaled(number, 10**6))


def _scaled(number: object, scale: int) -> int:
    """The number, as it is written and not as floating point has it, times the scale."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(f"expected a number, got {number!r}")
    scaled = Decimal(repr(number)) * scale
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"expected a number with fewer decimals, got {number!r}")
    return int(scaled)


LimitText = str | dict[str, Any]


class Server(msgspec.Struct, forbid_unknown_fields=True):
    """The public listener: `/v1/...`, `/gateway/me`, `/healthz`."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    drain_timeout: Duration = Duration(60)
    limits: list[LimitText] = []
    timezone: str = "UTC"
    data: str = ""
    usage_wait: Duration = Duration(2)
    max_body: Size = Size(64 * 2**20)
    max_upload: Size = Size(2 * 2**30)
    max_answer: Size = Size(64 * 2**20)
    header_timeout: Duration = Duration(15)
    body_timeout: Duration = Duration(30)
    write_timeout: Duration = Duration(60)
    lane: bool = True
    own_client: bool = True


class Admin(msgspec.Struct, forbid_unknown_fields=True):
    """The admin listener: `/admin/v1/...`, `/metrics`, `/healthz`, `/readyz`."""

    host: str = "127.0.0.1"
    port: int = 8081
    key: str = ""


class Store(msgspec.Struct, forbid_unknown_fields=True):
    """Keys, quotas and the ledger: a server that must not evict."""

    url: str = "embedded:./gateway-data"
    deadline: Duration = Duration(0.25)
    lease: Duration = Duration(30)


Choice = Literal["refuse", "share"]


class Away(msgspec.Struct, forbid_unknown_fields=True):
    """While the store is away: refuse what falls under such a limit, or admit this process's share of it."""

    money: Choice = "refuse"
    budgets: Choice = "refuse"
    rates: Choice = "share"
    concurrency: Choice = "share"
    replicas: int = 1


class Ledger(msgspec.Struct, forbid_unknown_fields=True):
    """Rows of requests: how many stay in the store, and which database they go to."""

    sink: str = "auto"
    max_rows: int = 100_000
    max_age: Duration = Duration(30 * 86400)


class Alerts(msgspec.Struct, forbid_unknown_fields=True):
    """A webhook that is told when so much of a budget (percent) is used, once per window.

    `url` may be a reference to a secret; with `secret`, what is sent is signed.
    """

    url: str = ""
    at: list[int] = msgspec.field(default_factory=lambda: [80, 100])
    secret: str = ""


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
    prices: str = "auto"


class Models(msgspec.Struct, forbid_unknown_fields=True):
    retired: Literal["keep", "redirect", "refuse"] = "keep"
    aliases: dict[str, str] = {}
    output_caps: dict[str, int] = {}


class ModelPrice(msgspec.Struct, forbid_unknown_fields=True, rename={"start": "from"}):
    """What a model costs: per million tokens of each kind, and per request. It holds from `start` on."""

    input: Dollars | None = None
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None
    output: Dollars | None = None
    reasoning: Dollars | None = None
    input_audio: Dollars | None = None
    cached_audio: Dollars | None = None
    output_audio: Dollars | None = None
    input_image: Dollars | None = None
    cached_image: Dollars | None = None
    output_image: Dollars | None = None
    request: Dollars = Dollars(0)
    start: str = ""


class Prices(msgspec.Struct, forbid_unknown_fields=True):
    """What models cost, where the built-in list is not right."""

    file: str = ""
    models: dict[str, ModelPrice | list[ModelPrice]] = {}
    unpriced: ModelPrice | None = None
    tiers: dict[str, Factor] = {}
    tools: dict[str, Dollars] = {}
    operations: dict[str, Dollars] = {}


class Cache(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool = True
    url: str = ""
    ttl: Duration = Duration(3600)
    scope: Literal["private", "team", "all"] = "team"
    max_entry: Size = Size(2**20)
    max_memory: Size = Size(256 * 2**20)


Identity = Literal["keep", "key", "team"]


class Endpoints(msgspec.Struct, forbid_unknown_fields=True):
    allow: list[str] = msgspec.field(default_factory=lambda: ["inference"])
    unknown: Literal["refuse", "forward"] = "refuse"
    ownership: Literal["on", "off"] = "on"
    safety_identifier: Identity = "keep"
    prompt_cache_key: Identity = "keep"


class Realtime(msgspec.Struct, forbid_unknown_fields=True):
    """WebSockets. `exhausted`: what becomes of one whose client has reached a limit."""

    exhausted: Literal["cut", "refuse"] = "cut"
    max_session: Duration = Duration(3600)
    idle_timeout: Duration = Duration(600)


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
    ownership: Literal["on", "off"] | None = None


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    server: Server = msgspec.field(default_factory=Server)
    admin: Admin = msgspec.field(default_factory=Admin)
    store: Store = msgspec.field(default_factory=Store)
    away: Away = msgspec.field(default_factory=Away)
    upstreams: list[Upstream] = []
    models: Models = msgspec.field(default_factory=Models)
    prices: Prices = msgspec.field(default_factory=Prices)
    cache: Cache = msgspec.field(default_factory=Cache)
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    alerts: Alerts = msgspec.field(default_factory=Alerts)
    endpoints: Endpoints = msgspec.field(default_factory=Endpoints)
    realtime: Realtime = msgspec.field(default_factory=Realtime)
    teams: list[Team] = []
    keys: list[Key] = []
