import csv
import io
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.history import History
from gateway.ledger.sink import Sink
from gateway.ledger.verify import Report, verify
from gateway.store.redis import RedisStore
from gateway.web.call import Call
from gateway.web.ledger import NEXT, LedgerCalls
from gateway.web.rows import COLUMNS
from tests.ledger.around import tamper
from tests.web.conftest import Serve, Served
from tests.web.kept import DAY, NOON, asked, complaint, get, row, write

ROWS = [
    row(1, time=NOON - 2 * DAY),
    row(2, time=NOON - DAY, model="o3", tags={"site": "a"}),
    row(3, key="bob", team="sales", tags={"site": "=a", "step": "b"}),
    row(4, key="bob", team="sales", cost=None, time=NOON + DAY // 2 - 1),
    row(5, time=NOON + DAY // 2, cost=-7, correction=True),
]


async def serving(serve: Serve, store: RedisStore, sink: Sink | None = None, zone: str = "UTC") -> Served:
    def check(after: str | None, most: int) -> Awaitable[Report]:
        return verify(store.ledger, sink, after, most)

    calls = LedgerCalls(History(store.ledger, sink), check, zone)

    async def handler(call: Call) -> None:
        await (calls.verify(call) if call.path == "/verify" else calls.rows(call))

    return await serve(handler)


@pytest.fixture
async def served(serve: Serve, store: RedisStore) -> Served:
    await write(store, ROWS)
    return await serving(serve, store)


def names(page: dict[str, Any]) -> list[int]:
    return [int(item["id"].removeprefix("request-")) for item in page["data"]]


async def test_rows_come_newest_first(served: Served) -> None:
    page = await asked(served)
    assert names(page) == [5, 4, 3, 2, 1]
    assert (page["object"], page["has_more"], page["next_cursor"]) == ("list", False, None)
    assert tuple(page["data"][0]) == COLUMNS
    assert (page["data"][0]["number"], page["data"][0]["cost_nano"]) == (5, -7)


@pytest.mark.parametrize(("order", "wanted"), [("newest", [5, 4, 3, 2, 1]), ("oldest", [1, 2, 3, 4, 5])])
async def test_pages_follow_each_other(served: Served, order: str, wanted: list[int]) -> None:
    found: list[int] = []
    query: dict[str, str] = {}
    while True:
        page = await asked(served, order=order, limit="2", **query)
        assert len(page["data"]) <= 2
        found += names(page)
        if not page["has_more"]:
            break
        query = {"cursor": page["next_cursor"]}
    assert found == wanted


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"key": "alice"}, [5, 2, 1]),
        ({"team": "sales"}, [4, 3]),
        ({"model": "o3"}, [2]),
        ({"tag": "site=a"}, [2]),
        ({"tag": "site==a"}, [3]),
        ({"from": "2026-11-21", "to": "2026-11-22"}, [4, 3, 2]),
        ({"from": "2026-11-23"}, [5]),
        ({"to": "2026-11-20"}, [1]),
        ({"key": "bob", "from": "2026-11-23"}, []),
    ],
)
async def test_what_is_asked_for_must_all_hold(
    served: Served, query: dict[str, str], wanted: list[int]
) -> None:
    assert names(await asked(served, **query)) == wanted


async def test_days_are_those_of_the_gateway(serve: Serve, store: RedisStore) -> None:
    await write(store, ROWS)
    served = await serving(serve, store, zone="Europe/Paris")  # where the day began an hour before
    assert names(await asked(served, from_="2026-11-23")) == [5, 4]


async def test_csv_and_json_lines_say_the_same(served: Served) -> None:
    sheet = await get(served, format="csv", limit="4")
    lines = await get(served, format="jsonl", limit="4")
    assert sheet.headers[NEXT] == lines.headers[NEXT]
    items = [json.loads(line) for line in lines.body.splitlines()]
    rows = list(csv.DictReader(io.StringIO(sheet.body.decode(), newline="")))
    assert items == (await asked(served, limit="4"))["data"]
    assert [each["id"] for each in rows] == [item["id"] for item in items]
    assert list(rows[0]) == list(COLUMNS)
    assert (rows[0]["cost"], rows[1]["cost"]) == ("-0.000000007", "")
    assert json.loads(rows[2]["tags"]) == {"site": "=a", "step": "b"}
    last = await get(served, format="csv", limit="4", cursor=sheet.headers[NEXT])
    assert NEXT not in last.headers


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"cursor": "5"}, "cursor"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"since": "2026-11-02"}, "since"),
    ],
)
async def test_what_is_wrong_is_named(served: Served, query: dict[str, str], param: str) -> None:
    assert (await complaint(served, **query))[:3] == (400, "invalid_value", param)


async def test_a_chain_is_checked_in_chunks(served: Served, store: RedisStore) -> None:
    number, head = await store.ledger.head()
    part = await asked(served, "/verify", limit="3")
    assert (part["rows"], part["first"], part["last"], part["done"]) == (3, 1, 3, False)
    rest = await asked(served, "/verify", after=part["next"])
    assert (rest["rows"], rest["first"], rest["last"], rest["hash"]) == (2, 4, number, head)
    assert (rest["done"], rest["next"], rest["broken"]) == (True, None, None)


async def test_what_was_changed_is_named(serve: Serve, store: RedisStore, tmp_path: Path) -> None:
    await write(store, ROWS)
    target = f"sqlite:{tmp_path / 'ledger.sqlite3'}"
    sink = await Sink.open(target)
    try:
        await sink.insert(await store.ledger.oldest(None, 10))
        tamper(target, "UPDATE gateway_ledger SET row = replace(row, '1000', '1') WHERE number = 2")
        part = await asked(await serving(serve, store, sink), "/verify")
    finally:
        await sink.close()
    assert part["broken"]["number"] == 2
    assert part["broken"]["reason"]
    assert (part["last"], part["next"]) == (1, None)


async def test_where_to_go_on_is_a_position(served: Served) -> None:
    assert (await complaint(served, "/verify", after="here"))[:3] == (400, "invalid_value", "after")
