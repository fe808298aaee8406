"""Where a store is: the URLs of Redis, as its own clients read them."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEMES = ("redis", "rediss", "unix")
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class StoreMisconfigured(ValueError):
    """The store can never work as configured. The message says what to change, and holds no password."""


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

    def __str__(self) -> str:
        """For people: without credentials."""
        if self.path:
            return f"unix://{self.path}"
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.db}"


def parse(url: str) -> Address:
    """`redis://[user:password@]host[:port][/db]`, `rediss://…`, `unix://[user:password@]/path[?db=n]`.

    Options: `db`, and for `rediss` `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`. Raises StoreMisconfigured.
    """
    scheme = url.partition(":")[0].lower()
    if scheme not in _SCHEMES:
        raise StoreMisconfigured(_unknown(scheme))
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=True) if parts.query else ())
        return _address(scheme, parts.hostname, parts.port, unquote(parts.path), options, _credentials(parts))
    except StoreMisconfigured:
        raise
    except ValueError:
        raise StoreMisconfigured(f"the store's {scheme} address is malformed") from None


def _unknown(scheme: str) -> str:
    if scheme in ("redis+sentinel", "redis+cluster"):
        return f"a store at {scheme}:// is not supported"
    # Not quoted: people put passwords into addresses, and forget what comes before them.
    return "a store at this address is not supported: use redis://, rediss:// or unix://"


def _credentials(parts: Any) -> tuple[str, str]:
    return unquote(parts.username or ""), unquote(parts.password or "")


def _address(
    scheme: str,
    host: str | None,
    port: int | None,
    path: str,
    options: Mapping[str, str],
    credentials: tuple[str, str],
) -> Address:
    tls = scheme == "rediss"
    known = ("db", *_TLS_OPTIONS) if tls else ("db",)
    if unknown := sorted(set(options) - set(known)):
        raise StoreMisconfigured(
            f"the store's address has options that are not supported: {', '.join(unknown)}"
        )
    username, password = credentials
    if scheme == "unix":
        if not path or host:
            raise StoreMisconfigured("the store's unix address needs a path: unix:///run/redis/redis.sock")
        return Address(path=path, db=int(options.get("db", "0")), username=username, password=password)
    return Address(
        host=host or "localhost",
        port=port or 6379,
        db=int(path.strip("/") or options.get("db", "0")),
        username=username,
        password=password,
        tls=tls,
        ca_certs=options.get("ssl_ca_certs", ""),
        certfile=options.get("ssl_certfile", ""),
        keyfile=options.get("ssl_keyfile", ""),
    )
