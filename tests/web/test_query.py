from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from gateway.errors import InvalidRequest
from gateway.web.call import Call
from gateway.web.query import MOST_DAYS, LedgerQuery, UsageQuery, VerifyQuery, asked, check_days, groups, span
from tests.web.conftest import Serve, Served
from tests.web.kept import asked as read
from tests.web.kept import complaint, get

PARIS = ZoneInfo("Europe/Paris")
LATE = int(datetime(2026, 11, 30, 23, 30, tzinfo=UTC).timestamp()) * 1000  # in Paris it is December


async def served(serve: Serve, kind: type[Any]) -> Served:
    async def handler(call: Call) -> None:
        await call.answer_json(200, msgspec.structs.asdict(asked(call, kind)))

    return await serve(handler)


async def test_what_is_not_said_has_a_default(serve: Serve) -> None:
    assert await read(await served(serve, UsageQuery)) == {
        "first": None,
        "last": None,
        "group_by": "key",
        "format": "json",
    }


async def test_values_are_decoded(serve: Serve) -> None:
    listener = await served(serve, LedgerQuery)
    given = await read(listener, tag="site=a b&c", limit="7", from_="2026-11-01", key="null")
    assert (given["tag"], given["limit"], given["first"]) == ("site=a b&c", 7, "2026-11-01")
    assert given["key"] == "null"


@pytest.mark.parametrize(
    ("kind", "query", "param"),
    [
        (UsageQuery, {"group": "key"}, "group"),
        (UsageQuery, {"from": "yesterday"}, "from"),
        (UsageQuery, {"to": "2026-02-30"}, "to"),
        (UsageQuery, {"from": "2026-11-01T00:00:00Z"}, "from"),
        (UsageQuery, {"format": "jsonl"}, "format"),
        (LedgerQuery, {"limit": "0"}, "limit"),
        (LedgerQuery, {"limit": "501"}, "limit"),
        (LedgerQuery, {"limit": "many"}, "limit"),
        (LedgerQuery, {"order": "random"}, "order"),
        (VerifyQuery, {"limit": "10001"}, "limit"),
    ],
)
async def test_what_is_wrong_is_named(
    serve: Serve, kind: type[Any], query: dict[str, str], param: str
) -> None:
    listener = await served(serve, kind)
    assert (await complaint(listener, **query))[:3] == (400, "invalid_value", param)


async def test_what_is_there_twice_is_refused(serve: Serve) -> None:
    listener = await served(serve, LedgerQuery)
    response = await get(listener, "/?key=a&key=b&")
    assert (response.status, response.code) == (400, "invalid_value")
    assert b"'key'" in response.body


def days(first: str | None, last: str | None, now: int = LATE, zone: ZoneInfo = PARIS) -> tuple[str, str]:
    query = UsageQuery(*(day and date.fromisoformat(day) for day in (first, last)))  # type: ignore[arg-type]
    return tuple(day.isoformat() for day in span(query, now, zone))  # type: ignore[return-value]


def test_a_report_is_of_this_month_where_the_gateway_is() -> None:
    assert days(None, None) == ("2026-12-01", "2026-12-01")
    assert days(None, None, zone=ZoneInfo("UTC")) == ("2026-11-01", "2026-11-30")


def test_half_of_a_span_is_completed() -> None:
    assert days("2026-10-05", None) == ("2026-10-05", "2026-12-01")
    assert days(None, "2026-10-05") == ("2026-10-01", "2026-10-05")
    assert days("2027-01-05", None) == ("2027-01-05", "2027-01-05")


def test_a_report_has_a_length() -> None:
    assert days("2025-01-01", "2026-02-04") == ("2025-01-01", "2026-02-04")
    with pytest.raises(InvalidRequest, match=f"{MOST_DAYS} days"):
        days("2025-01-01", "2026-02-05")


@pytest.mark.parametrize(
    ("first", "last"), [("2026-11-02", "2026-11-01"), ("0001-01-01", None), (None, "9999-12-31")]
)
def test_days_that_are_no_span(first: str | None, last: str | None) -> None:
    with pytest.raises(InvalidRequest):
        check_days(*(day and date.fromisoformat(day) for day in (first, last)))  # type: ignore[arg-type]


def test_groups_are_read_and_complained_about() -> None:
    assert groups(UsageQuery(group_by="key,day")) == ("key", "day")
    with pytest.raises(InvalidRequest) as refused:
        groups(UsageQuery(group_by="client"))
    assert (refused.value.code, refused.value.param) == ("invalid_value", "group_by")
