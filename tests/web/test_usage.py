import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.clients import ClientTable
from gateway.policy.records import KeyRecord
from gateway.store.redis import RedisStore
from gateway.web.usage import UsageCalls
from gateway.web.views import USED
from tests.web.conftest import Serve, Served
from tests.web.kept import DAY, NOON, Still, asked, complaint, get, row, write

ROWS = [
    row(1),
    row(2, time=NOON - DAY, cost=30_000, model="o3", tags={"site": "a", "step": "=draft"}),
    row(3, key="bob", team=None, cost=500_000_001, tags={"site": "a"}),
    row(4, key="bob", team=None, cost=0, saved=7_000, cache="hit", input=0, output=0, settled="none"),
    row(5, key="bob", team=None, cost=None, status=500, time=NOON - 30 * DAY),
]


@pytest.fixture
async def served(serve: Serve, store: RedisStore) -> Served:
    clients = ClientTable()
    clients.declare([KeyRecord("alice", "Alice", "ab" * 32)], [])
    await write(store, ROWS)
    return await serve(UsageCalls(store.ledger, clients, Still(), "UTC").usage)


async def test_by_key_for_this_month(served: Served) -> None:
    report = await asked(served)
    head = {name: value for name, value in report.items() if name not in ("data", "total")}
    assert head == {
        "object": "usage",
        "from": "2026-11-01",
        "to": "2026-11-22",
        "timezone": "UTC",
        "group_by": ["key"],
    }
    bob, alice = report["data"]
    assert (bob["key"], bob["name"], bob["requests"], bob["hits"]) == ("bob", None, 2, 1)
    assert (bob["cost"], bob["cost_nano"], bob["saved"]) == (0.500000001, 500_000_001, 0.000007)
    assert alice == {
        "key": "alice",
        "name": "Alice",
        "requests": 2,
        "tokens": 30,
        "input_tokens": 20,
        "output_tokens": 10,
        "cached_tokens": 8,
        "reasoning_tokens": 4,
        "cost": 0.000031,
        "cost_nano": 31_000,
        "saved": 0,
        "saved_nano": 0,
        "hits": 0,
        "errors": 0,
        "unpriced": 0,
    }


async def test_money_is_a_number_that_is_exact_as_it_is_written(served: Served) -> None:
    body = (await get(served)).body
    exact = json.loads(body, parse_float=Decimal)
    for line in (*exact["data"], exact["total"]):
        assert line["cost"] * 10**9 == line["cost_nano"]
        assert line["saved"] * 10**9 == line["saved_nano"]
    assert b'"cost":0.500000001,' in body


async def test_the_total_is_that_of_the_lines(served: Served) -> None:
    report = await asked(served, from_="2026-10-01", group_by="day")
    assert [line["day"] for line in report["data"]] == ["2026-10-23", "2026-11-21", "2026-11-22"]
    assert [line["unpriced"] for line in report["data"]] == [1, 0, 0]
    for name in USED:
        assert round(sum(line[name] for line in report["data"]), 9) == report["total"][name]
    assert (report["total"]["requests"], report["total"]["errors"]) == (5, 1)


async def test_several_groups_at_once(served: Served) -> None:
    report = await asked(served, group_by="team,model")
    assert [(line["team"], line["model"], line["requests"]) for line in report["data"]] == [
        (None, "gpt-6", 2),
        ("research", "o3", 1),
        ("research", "gpt-6", 1),
    ]


async def test_by_tag_the_total_is_of_all_requests(served: Served) -> None:
    report = await asked(served, group_by="tag")
    assert [(line["tag"], line["requests"]) for line in report["data"]] == [("site=a", 2), ("step==draft", 1)]
    assert (report["total"]["requests"], report["total"]["cost_nano"]) == (4, 500_031_001)


async def test_csv_is_the_lines(served: Served) -> None:
    response = await get(served, group_by="key,model", format="csv")
    assert response.headers["content-type"].startswith("text/csv")
    head, *lines = csv.reader(io.StringIO(response.body.decode(), newline=""))
    assert head == ["key", "name", "model", *USED]
    report = await asked(served, group_by="key,model")
    assert [dict(zip(head, line, strict=True)) for line in lines] == [
        {name: _text(value) for name, value in line.items()} for line in report["data"]
    ]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{Decimal(str(value)):f}"
    return "" if value is None else str(value)


async def test_a_month_of_nothing(served: Served) -> None:
    report = await asked(served, from_="2020-02-01", to="2020-02-29")
    assert (report["data"], set(report["total"].values())) == ([], {0})


@pytest.mark.parametrize(
    ("query", "param", "words"),
    [
        ({"from": "2026-01-02", "to": "2026-01-01"}, "from", "after 'to'"),
        ({"from": "2024-01-01", "to": "2026-01-01"}, "from", "400 days"),
        ({"group_by": "tag,key"}, "group_by", "tag stands alone"),
        ({"groupby": "key"}, "groupby", "unknown field"),
    ],
)
async def test_what_is_wrong_is_named(served: Served, query: dict[str, str], param: str, words: str) -> None:
    status, code, named, message = await complaint(served, **query)
    assert (status, code, named) == (400, "invalid_value", param)
    assert words in message


async def test_without_the_store_there_is_no_report(served: Served, store: RedisStore, own: Any) -> None:
    own.stop()
    response = await get(served)
    assert (response.status, response.code) == (503, "quota_store_unavailable")
