"""Where a store is: the URLs of Redis, as its own clients read them."""

import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_SINGLE = ("redis", "rediss", "unix")
_SEVERAL = ("redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")
SCHEMES = (*_SINGLE, *_SEVERAL)
SENTINEL_PORT = 26379

_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_OPTIONS = ("db", "sentinel_username", "sentinel_password")
_PARTS = re.compile(r"[^:]*://([^/?#]*)([^?#]*)(?:\?([^#]*))?")


class StoreMisconfigured(ValueError):
    """The store can never work as configured. The message says what to change, and holds no password."""


class Whereabouts(Protocol):
    """Where a server is to be found, asked anew for each connection."""

    async def addresses(self) -> "Sequence[Address]":
        """At least one, the best first. Raises StoreUnavailable, StoreMisconfigured."""
        ...

    def context(self) -> ssl.SSLContext | None:
        """What TLS needs. Raises StoreMisconfigured."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """One server: a Unix socket (`path`) or a host and port, with TLS or without."""

    host: str = "localhost"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca_certs: str = ""
    certfile: str = ""
    keyfile: str = ""

    async def addresses(self) -> "Sequence[Address]":
        return (self,)

    def context(self) -> ssl.SSLContext | None:
        """What TLS needs: the system's authorities or `ssl_ca_certs`, always verified. None without TLS."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_certs or None)
            if self.certfile:
                context.load_cert_chain(self.certfile, self.keyfile or None)
        except OSError as error:
            raise StoreMisconfigured(f"the store's certificates cannot be read: {error}") from None
        return context

    def introduction(self) -> list[tuple[str | int, ...]]:
        """The commands that a connection begins with: credentials, then the database."""
        commands: list[tuple[str | int, ...]] = []
        if self.password:
            commands.append(("AUTH", *((self.username,) if self.username else ()), self.password))
        if self.db:
            commands.append(("SELECT", self.db))
        return commands

    @property
    def place(self) -> str:
        """Host and port, as they are written in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """For people: without credentials."""
        if self.path:
            return f"unix://{self.path}"
        return f"{'rediss' if self.tls else 'redis'}://{self.place}/{self.db}"


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """A Redis Cluster, by some of its nodes. All nodes take the same credentials."""

    seeds: tuple[Address, ...]

    def __str__(self) -> str:
        return f"{_prefix(self.seeds[0])}+cluster://{_places(self.seeds)}"


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """The master called `name`, by the sentinels that know where it is.

    `server` is what every server of that name has in common: credentials, database, TLS.
    """

    sentinels: tuple[Address, ...]
    name: str
    server: Address

    def __str__(self) -> str:
        prefix = _prefix(self.server)
        return f"{prefix}+sentinel://{_places(self.sentinels)}/{self.name}/{self.server.db}"


def _prefix(address: Address) -> str:
    return "rediss" if address.tls else "redis"


def _places(addresses: Sequence[Address]) -> str:
    return ",".join(address.place for address in addresses)


def parse(url: str) -> Address | ClusterAddress | SentinelAddress:
    """One server, a cluster, or a master that sentinels look after. Raises StoreMisconfigured.

    - `redis://[user:password@]host[:port][/db]`, `rediss://…` with TLS, `unix://[user:password@]/path[?db=n]`
    - `redis+cluster://[user:password@]host[:port][,host[:port]…]`
    - `redis+sentinel://[user:password@]host[:port][,host[:port]…]/name[/db]`, where the credentials are the
      server's, and `sentinel_username` and `sentinel_password` those of the sentinels

    Options: `db` (not for a cluster); with TLS `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`.
    """
    scheme = url.partition(":")[0].lower()
    if scheme not in SCHEMES:
        # Not quoted: people put passwords into addresses, and forget what comes before them.
        raise StoreMisconfigured(
            "a store at this address is not supported: use redis://, rediss://, unix://, redis+sentinel:// "
            "or redis+cluster://"
        )
    try:
        if scheme in _SINGLE:
            return _single(scheme, urlsplit(url))
        return _several(scheme, url)
    except StoreMisconfigured:
        raise
    except ValueError:
        raise StoreMisconfigured(f"the store's {scheme} address is malformed") from None


def _single(scheme: str, parts: SplitResult) -> Address:
    options = _options(parts.query, ("db",), scheme)
    path = unquote(parts.path)
    if "," in parts.netloc.rpartition("@")[2]:
        raise StoreMisconfigured(
            "the store's address has several hosts: those need redis+sentinel:// or redis+cluster://"
        )
    address = _common(scheme, unquote(parts.username or ""), unquote(parts.password or ""), options)
    if scheme == "unix":
        if not path or parts.hostname:
            raise StoreMisconfigured("the store's unix address needs a path: unix:///run/redis/redis.sock")
        return replace(address, path=path, db=_number(options.get("db", "0")))
    return replace(
        address,
        host=parts.hostname or "localhost",
        port=_port(parts, 6379),
        db=_number(path.strip("/") or options.get("db", "0")),
    )


def _several(scheme: str, url: str) -> ClusterAddress | SentinelAddress:
    parts = _PARTS.fullmatch(url)
    if parts is None:
        raise ValueError
    credentials, _, hosts = parts[1].rpartition("@")
    username, _, password = credentials.partition(":")
    sentinel = scheme.endswith("+sentinel")
    options = _options(parts[3] or "", _SENTINEL_OPTIONS if sentinel else (), scheme)
    server = _common(scheme, unquote(username), unquote(password), options)
    steps = [unquote(step) for step in parts[2].removeprefix("/").split("/")]
    if sentinel:
        return _sentinel(hosts, steps, server, options)
    if steps not in ([""], ["0"]):
        raise StoreMisconfigured("the store's address names a database, and a cluster has but one: leave it")
    return ClusterAddress(_hosts(hosts, 6379, server))


def _sentinel(hosts: str, steps: list[str], server: Address, options: Mapping[str, str]) -> SentinelAddress:
    if not steps[0] or len(steps) > 2:
        raise StoreMisconfigured(
            "the store's sentinel address needs the master's name: redis+sentinel://HOST,HOST/NAME"
        )
    asked = replace(
        server,
        username=options.get("sentinel_username", ""),
        password=options.get("sentinel_password", ""),
    )
    db = _number(steps[1] if len(steps) == 2 else options.get("db", "0"))
    return SentinelAddress(_hosts(hosts, SENTINEL_PORT, asked), steps[0], replace(server, db=db))


def _hosts(text: str, port: int, common: Address) -> tuple[Address, ...]:
    found = []
    for part in text.split(","):
        one = urlsplit(f"//{part}")
        if not one.hostname:
            raise ValueError
        found.append(replace(common, host=one.hostname, port=_port(one, port)))
    return tuple(found)


def _options(query: str, known: tuple[str, ...], scheme: str) -> dict[str, str]:
    options = dict(parse_qsl(query, strict_parsing=True) if query else ())
    allowed = (*known, *_TLS_OPTIONS) if scheme.startswith("rediss") else known
    if unknown := sorted(set(options) - set(allowed)):
        raise StoreMisconfigured(
            f"the store's address has options that are not supported: {', '.join(unknown)}"
        )
    return options


def _common(scheme: str, username: str, password: str, options: Mapping[str, str]) -> Address:
    return Address(
        username=username,
        password=password,
        tls=scheme.startswith("rediss"),
        ca_certs=options.get("ssl_ca_certs", ""),
        certfile=options.get("ssl_certfile", ""),
        keyfile=options.get("ssl_keyfile", ""),
    )


def _port(parts: SplitResult, otherwise: int) -> int:
    port = parts.port
    if port == 0:
        raise ValueError
    return otherwise if port is None else port


def _number(text: str) -> int:
    """A database: digits alone."""
    if not text.isdecimal():
        raise ValueError
    return int(text)
