"""What the reports of the admin API are asked, and the complaints about it."""

from datetime import date
from typing import Annotated, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from gateway.policy.reporting import Group, day_of, parse_groups
from gateway.web.call import Call
from gateway.web.inputs import not_valid, wrong

MOST_DAYS: Final = 400

_FIRST, _LAST = date(2000, 1, 1), date(2999, 12, 31)
_PAGE, _MOST_ROWS = 100, 500
_CHUNK, _MOST_CHECKED = 2_000, 10_000

T = TypeVar("T", bound=msgspec.Struct)


class UsageQuery(msgspec.Struct, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    first: date | None = None
    last: date | None = None
    group_by: str = "key"
    format: Literal["json", "csv"] = "json"


class LedgerQuery(msgspec.Struct, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    """Empty filters let everything through."""

    first: date | None = None
    last: date | None = None
    key: str = ""
    team: str = ""
    model: str = ""
    tag: str = ""
    order: Literal["newest", "oldest"] = "newest"
    limit: Annotated[int, Meta(ge=1, le=_MOST_ROWS)] = _PAGE
    cursor: str = ""
    format: Literal["json", "csv", "jsonl"] = "json"


class VerifyQuery(msgspec.Struct, forbid_unknown_fields=True):
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=_MOST_CHECKED)] = _CHUNK


def asked(call: Call, kind: type[T]) -> T:
    """The call's query as a `kind`. Raises InvalidRequest for what is unknown, repeated or of no use."""
    given: dict[str, str] = {}
    for name, value in call.query:
        if name in given:
            raise wrong(name, "it is there twice")
        given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise not_valid(error) from None


def span(query: UsageQuery, now: int, zone: ZoneInfo) -> tuple[date, date]:
    """First and last day, both included. Not said: up to today, from the first of the last day's month.

    Raises InvalidRequest where the days are in the wrong order, or too many.
    """
    today = day_of(now, zone)
    last = query.last or max(today, query.first or today)
    first = query.first or last.replace(day=1)
    check_days(first, last)
    if (last - first).days >= MOST_DAYS:
        raise wrong("from", f"a report covers {MOST_DAYS} days at most: ask for its parts")
    return first, last


def check_days(first: date | None, last: date | None) -> None:
    """Raises InvalidRequest where the first day is after the last, or one is out of this world."""
    for name, day in (("from", first), ("to", last)):
        if day is not None and not _FIRST <= day <= _LAST:
            raise wrong(name, "write a day such as 2026-11-22")
    if first is not None and last is not None and first > last:
        raise wrong("from", "it is after 'to'")


def groups(query: UsageQuery) -> tuple[Group, ...]:
    """Raises InvalidRequest for what is no grouping."""
    try:
        return parse_groups(query.group_by)
    except ValueError as error:
        raise wrong("group_by", str(error)) from None
