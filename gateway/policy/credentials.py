"""Keys: how they are made, how they arrive, and from where they may be used."""

import functools
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.errors import InvalidKey

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BYTES = 32
_SECRET_DIGITS = 43  # 62**43 > 2**256
_MAX_CREDENTIAL = 512

_KEY = re.compile(r"sk-gw-([0-9a-f]{8,64})-[0-9A-Za-z]+")
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `key` is shown once; `digest`, its SHA-256 in hex, is what is kept."""

    id: str
    key: str = field(repr=False)
    digest: str = field(repr=False)


def new_key(public_id_entropy: bytes, secret_entropy: bytes) -> NewKey:
    """`sk-gw-<public id>-<secret>`, from at least 4 and exactly 32 random bytes."""
    if not 4 <= len(public_id_entropy) <= 32:
        raise ValueError("a public id takes 4 to 32 random bytes")
    return _new(public_id_entropy.hex(), secret_entropy)


def new_admin_key(secret_entropy: bytes) -> NewKey:
    """`sk-gw-admin-<secret>`, from 32 random bytes. No client key can be taken for one: their ids are hex."""
    return _new("admin", secret_entropy)


def _new(public: str, secret_entropy: bytes) -> NewKey:
    if len(secret_entropy) != _SECRET_BYTES:
        raise ValueError(f"a secret takes {_SECRET_BYTES} random bytes")
    key = f"sk-gw-{public}-{_base62(int.from_bytes(secret_entropy, 'big'))}"
    return NewKey(public, key, hashlib.sha256(key.encode()).hexdigest())


def _base62(number: int) -> str:
    digits = []
    for _ in range(_SECRET_DIGITS):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def public_id(presented: str) -> str | None:
    """The part of a key that may be logged, if it looks like a client key that the gateway made."""
    match = _KEY.fullmatch(presented)
    return match[1] if match else None


def presented_key(authorization: Sequence[str], api_key: Sequence[str]) -> bytes:
    """The one key in the values of `authorization` (RFC 6750 section 2.1) and `api-key`, as on the wire.

    Both headers may carry it, if it is the same. Raises InvalidKey unless there is exactly one.
    """
    if len(authorization) == 1 and not api_key:
        return _token(authorization[0], _BEARER)
    if len(authorization) > 1 or len(api_key) > 1:
        raise InvalidKey
    keys = [_token(value, _BEARER) for value in authorization] + [_token(value, None) for value in api_key]
    if not keys or not same(keys[0], keys[-1]):
        raise InvalidKey
    return keys[0]


def _token(value: str, scheme: re.Pattern[str] | None) -> bytes:
    if scheme is not None:
        match = scheme.fullmatch(value)
        value = match[1] if match else ""
    try:
        # The server decodes headers so that no byte is lost; this is the way back.
        token = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidKey from None
    if not 0 < len(token) <= _MAX_CREDENTIAL or token.split() != [token]:
        raise InvalidKey
    return token


def same(a: bytes, b: bytes) -> bool:
    """Whether they are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(a, b)


@functools.lru_cache(maxsize=4096)
def parse_network(pattern: str) -> _Network:
    """`10.1.2.3`, `10.0.0.0/8`, `2001:db8::/32`. Raises ValueError, with a sentence."""
    try:
        return ipaddress.ip_network(pattern.strip(), strict=False)
    except ValueError:
        raise ValueError(f"'{pattern}' must be an address or a network such as 10.0.0.0/8") from None


def valid_address(patterns: Iterable[str], peer: str) -> bool:
    """Whether `peer` is in one of the networks. No networks: every peer is. What cannot be read is not."""
    patterns = tuple(patterns)
    if not patterns:
        return True
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    # A listener on both families sees IPv4 clients in IPv6 clothes (RFC 4291 section 2.5.5.2).
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any(_within(mapped or address, pattern) for pattern in patterns)


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, pattern: str) -> bool:
    try:
        return address in parse_network(pattern)
    except ValueError:
        return False
