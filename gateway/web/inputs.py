"""What the admin API is sent, and the complaints about it."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.errors import InvalidRequest
from gateway.policy.credentials import parse_network
from gateway.policy.endpoints import ALL, GROUPS
from gateway.policy.members import members, once
from gateway.policy.quota import parse_limits
from gateway.settings import LimitText
from gateway.web.call import Call

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Pattern = Annotated[str, Meta(min_length=1, max_length=256)]
Label = Annotated[str, Meta(min_length=1, max_length=128)]
Scope = Literal["private", "team", "all"]
Ownership = Literal["on", "off"]

_NAME = re.compile(r"\w[\w .@+\-]*")
_GROUPS = GROUPS | {ALL}
_MAX_SECONDS = 10**11  # the year 5138: beyond it somebody wrote milliseconds

T = TypeVar("T", bound=msgspec.Struct)


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    team: str | None = None
    limits: list[LimitText] = []
    models: list[Pattern] = msgspec.field(default_factory=lambda: ["*"])
    endpoints: list[str] | None = None
    addresses: list[str] = []
    expires: str | int | None = None
    cache_scope: Scope | None = None
    tags: dict[Label, Label] = {}
    ownership: Ownership | None = None


class KeyChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is not sent stays as it is. A key cannot change teams: its counters stand with its team's."""

    name: Name | UnsetType = UNSET
    limits: list[LimitText] | UnsetType = UNSET
    models: list[Pattern] | UnsetType = UNSET
    endpoints: list[str] | UnsetType | None = UNSET
    addresses: list[str] | UnsetType = UNSET
    expires: str | int | UnsetType | None = UNSET
    cache_scope: Scope | UnsetType | None = UNSET
    tags: dict[Label, Label] | UnsetType = UNSET
    ownership: Ownership | UnsetType | None = UNSET


class NewTeam(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    limits: list[LimitText] = []
    models: list[Pattern] = msgspec.field(default_factory=lambda: ["*"])
    endpoints: list[str] | None = None


class TeamChange(msgspec.Struct, forbid_unknown_fields=True):
    limits: list[LimitText] | UnsetType = UNSET
    models: list[Pattern] | UnsetType = UNSET
    endpoints: list[str] | UnsetType | None = UNSET


async def read(call: Call, kind: type[T], *, empty: T | None = None) -> T:
    """The call's body as a `kind`, its values checked; `empty`, where that is given and nothing was sent.

    Raises InvalidRequest, which names the field.
    """
    body = await call.body.read()
    if not body and empty is not None:
        return empty
    try:
        if body.lstrip()[:1] == b"{":
            members(body)
            once(body)
        given = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise not_valid(error) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise InvalidRequest("The body is not valid JSON.") from None
    for name, complain in _CHECKS.items():
        _checked(name, complain, getattr(given, name, UNSET))
    return given


def not_valid(error: msgspec.ValidationError) -> InvalidRequest:
    """What msgspec complains about, naming the field."""
    return InvalidRequest(f"{error}.", code="invalid_value", param=_field(str(error)))


def expiry(given: str | int | None, now: int) -> int | None:
    """When a key expires, in ms: from ISO 8601 (without an offset it is UTC) or from unix seconds.

    Raises InvalidRequest for what is no date, or is over.
    """
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else _from_seconds(given)
    except ValueError:
        raise wrong("expires", "write it like 2030-12-31T18:00:00Z, or in unix seconds") from None
    expires = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if expires <= now:
        raise wrong("expires", "it is in the past")
    return expires


def _from_seconds(seconds: int) -> datetime:
    if not 0 <= seconds < _MAX_SECONDS:
        raise ValueError("no unix seconds")
    return datetime.fromtimestamp(seconds, UTC)


def changes(given: msgspec.Struct) -> dict[str, Any]:
    """The fields that were sent."""
    return {name: value for name, value in msgspec.structs.asdict(given).items() if value is not UNSET}


def _checked(name: str, complain: Callable[[Any], None], value: Any) -> None:
    if value is None or value is UNSET:
        return
    try:
        complain(value)
    except ValueError as error:
        raise wrong(name, str(error)) from None


def _limits(texts: Iterable[LimitText]) -> None:
    parse_limits(texts, "")


def _endpoints(groups: Iterable[str]) -> None:
    for group in groups:
        if group not in _GROUPS:
            raise ValueError(f"there is no such group; there are {', '.join(sorted(_GROUPS))}")


def _addresses(patterns: Iterable[str]) -> None:
    for pattern in patterns:
        parse_network(pattern)


def _name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError("begin with a letter or a digit; then also spaces and . _ @ + - may follow")


_CHECKS: dict[str, Callable[[Any], None]] = {
    "name": _name,
    "limits": _limits,
    "endpoints": _endpoints,
    "addresses": _addresses,
}


def wrong(name: str, complaint: str) -> InvalidRequest:
    """A field whose value nothing can be done with."""
    return InvalidRequest(
        f"The value of '{name}' is not valid: {complaint}.", code="invalid_value", param=name
    )


def _field(complaint: str) -> str | None:
    """The field that msgspec's message names: an unknown or missing one, or where a value stands."""
    if "field `" in complaint:
        return complaint.split("field `", 1)[1].split("`", 1)[0]
    if "`$." in complaint:
        return complaint.split("`$.", 1)[1].split("`", 1)[0].partition("[")[0]
    return None
