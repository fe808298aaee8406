"""The sink, on every database: rows once, in order, filtered, added up; and its loop never waits."""

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from gateway.ledger.failures import SinkMisconfigured, SinkUnavailable
from gateway.ledger.filter import Filter
from gateway.ledger.sink import Sink, Spent
from gateway.policy.ledger import Row
from gateway.store.base import Kept
from tests.ledger.around import tamper
from tests.ledger.conftest import Open
from tests.ledger.rows import DAY_MS, chained, row
from tests.store.servers import NOW

TEN = chained(row(n) for n in range(1, 11))


def numbers(rows: list[Kept]) -> list[int]:
    return [each.number for each in rows]


async def test_an_empty_one_has_no_last_row(sink: Sink) -> None:
    assert await sink.last() is None
    assert await sink.newest(None, 10) == []
    assert await sink.oldest(None, 10) == []
    assert await sink.spent_since(0) == []
    assert await sink.insert([]) == 0


async def test_rows_come_back_as_they_were_to_whoever_opens_it(sink: Sink, open_sink: Open) -> None:
    assert await sink.insert(TEN) == 10
    assert await (await open_sink()).oldest(None, 100) == TEN
    assert await sink.last() == TEN[-1]


async def test_a_row_is_there_once_however_often_it_is_inserted(sink: Sink) -> None:
    assert await sink.insert(TEN[:6]) == 6
    assert await sink.insert(TEN[3:]) == 4
    assert await sink.insert(TEN) == 0
    assert await sink.oldest(None, 100) == TEN


async def test_a_request_is_there_once_though_the_store_wrote_it_again(sink: Sink) -> None:
    again = Kept(f"{NOW + 99_000}-0", 11, TEN[4].row, "0" * 40)
    assert await sink.insert([*TEN, again]) == 10
    correction = chained([row(5, correction=True, cost=-3)], TEN[-1].hash, 11)
    assert await sink.insert(correction) == 1
    assert await sink.last() == correction[0]


async def test_pages_go_in_both_directions(sink: Sink) -> None:
    await sink.insert(TEN)
    assert numbers(await sink.newest(None, 4)) == [10, 9, 8, 7]
    assert numbers(await sink.newest(TEN[6].position, 4)) == [6, 5, 4, 3]
    assert numbers(await sink.oldest(TEN[6].position, 4)) == [8, 9, 10]


async def test_positions_sort_by_their_numbers(sink: Sink) -> None:
    texts = [each.row for each in TEN[:3]]
    places = ["999-0", "1000-2", "1000-10"]
    rows = [Kept(place, n, text, "") for n, (place, text) in enumerate(zip(places, texts, strict=True), 1)]
    await sink.insert(rows)
    assert [each.position for each in await sink.newest(None, 5)] == places[::-1]
    assert [each.position for each in await sink.oldest("1000-2", 5)] == ["1000-10"]


@pytest.mark.parametrize("cursor", ["", "1", "a-b", "1-2-3", "1' OR '1'='1", f"{10**18}-0", "-1-0"])
async def test_what_is_no_position_is_refused(sink: Sink, cursor: str) -> None:
    with pytest.raises(ValueError, match="no position"):
        await sink.newest(cursor, 1)
    with pytest.raises(ValueError, match="no position"):
        await sink.oldest(cursor, 1)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Filter(), [1, 2, 3, 4, 5]),
        (Filter(key="bob"), [2]),
        (Filter(team="ops"), [3]),
        (Filter(model="o'1; --"), [4]),
        (Filter(since=NOW + 4000), [4, 5]),
        (Filter(until=NOW + 4000), [1, 2, 3]),
        (Filter(since=NOW + 2000, until=NOW + 4000, key="alice"), [3]),
        (Filter(tag="cost=7"), [5]),
        (Filter(tag='a"b=ünï'), [5]),
        (Filter(tag="cost"), []),
        (Filter(tag="cost=8"), []),
        (Filter(key="alice", team="ops", model="gpt-4"), [3]),
        (Filter(key="nobody"), []),
    ],
)
async def test_filters(sink: Sink, where: Filter, expected: list[int]) -> None:
    changes: list[dict[str, Any]] = [
        *({}, {"key": "bob"}, {"team": "ops"}, {"model": "o'1; --"}),
        {"tags": {"cost": "7", 'a"b': "ünï"}},
    ]
    rows = chained(row(n, **change) for n, change in enumerate(changes, 1))
    await sink.insert(rows)
    assert numbers(await sink.oldest(None, 10, where)) == expected
    assert numbers(await sink.newest(None, 10, where)) == expected[::-1]
    # The stream is filtered here, the table there: both mean the same.
    assert [each.number for each in rows if where.matches(each.row)] == expected


async def test_spending_is_added_up_per_day_key_team_and_models(sink: Sink) -> None:
    await sink.insert(
        chained(
            [
                row(1, time=NOW - 1),  # before
                row(2, time=NOW, cost=7),
                row(3, time=NOW + 5, cost=8, cached=0),
                row(4, time=NOW + 6, cost=2**52, team=None, sent=None),
                row(5, time=NOW + DAY_MS, cost=None),
                row(6, time=NOW + DAY_MS, correction=True, cost=-100, input=-4, output=-1),
                row(
                    7,
                    time=NOW,
                    status=429,
                    error="insufficient_quota",
                    settled="none",
                    input=0,
                    output=0,
                    cost=0,
                ),
            ]
        )
    )
    found = sorted(await sink.spent_since(NOW), key=lambda each: (each.day, each.team or ""))
    assert found == [
        Spent("alice", None, "gpt-4", None, "2026-09-21", 1, 10, 4, 2**52),
        Spent("alice", "research", "gpt-4", "gpt-6", "2026-09-21", 2, 20, 5, 15),
        Spent("alice", "research", "gpt-4", "gpt-6", "2026-09-22", 1, 6, 4, -100),
    ]
    assert [each.tokens for each in found] == [14, 25, 10]


HARD: list[Row | bytes] = [
    row(1, model="a\0b" * 2000, tags={"x": "\0"}, shadow=["\0"]),
    row(2, cost=10**40, time=10**30, input=-(10**40)),
    b"\xff\x00 no row at all",
    b'{"id": "half a',
    row(5, model="".join(sha256(b"%d" % n).hexdigest() for n in range(100)), id="é"),  # hard to compress
]


async def test_no_row_stops_those_behind_it(sink: Sink) -> None:
    assert await sink.insert(chained(HARD)) == 5
    back = await sink.oldest(None, 10)
    assert numbers(back) == [1, 2, 3, 4, 5]
    assert [each.row for each in back[3:]] == [each.row for each in chained(HARD)[3:]]
    assert numbers(await sink.oldest(None, 10, Filter(model="a\0b" * 2000))) == [1]
    assert await sink.insert(chained(HARD)) == 0


async def test_columns_are_what_a_person_would_ask_for(sink: Sink, target: str) -> None:
    await sink.insert(chained([row(1, tags={"project": "atlas"}, shadow=["$5/day"], first_token=12)]))
    columns = "key, model, sent, cost_nano, saved_nano, duration_ms, first_token_ms, status"
    found = tamper(target, f"SELECT {columns} FROM gateway_ledger")
    assert found == [("alice", "gpt-4", "gpt-6", 1001, 0, 250, 12, 200)]
    ((when,),) = tamper(target, "SELECT time FROM gateway_ledger")
    read = when if isinstance(when, datetime) else datetime.fromisoformat(when)
    assert read == datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC)
    assert [each.differing for each in await sink.audit(None, 10)] == [""]


async def test_an_audit_names_a_column_that_was_changed(sink: Sink, target: str) -> None:
    await sink.insert([*TEN, *chained(HARD, TEN[-1].hash, 11)])
    assert {each.differing for each in await sink.audit(None, 100)} == {""}
    tamper(target, "UPDATE gateway_ledger SET cost_nano = 1 WHERE number = 4")
    tamper(target, 'UPDATE gateway_ledger SET tags = \'{"a":"b"}\' WHERE number = 6')
    changed = {each.kept.number: each.differing for each in await sink.audit(None, 100) if each.differing}
    assert changed == {4: "cost_nano", 6: "tags"}


async def test_a_newer_schema_is_refused_in_words(sink: Sink, target: str) -> None:
    tamper(target, "UPDATE gateway_ledger_schema SET version = 2")
    with pytest.raises(SinkMisconfigured, match="version 2, and this gateway knows 1: update the gateway"):
        await Sink.open(target)
    lazy = Sink.of(target)
    with pytest.raises(SinkUnavailable, match="update the gateway"):
        await lazy.insert(TEN)
    await lazy.close()


async def test_many_open_a_new_one_at_once(target: str) -> None:
    sinks = await asyncio.gather(*(Sink.open(target) for _ in range(8)))
    assert sum(await asyncio.gather(*(each.insert(TEN) for each in sinks))) == 10
    for each in sinks:
        await each.close()


async def test_the_loop_runs_while_the_database_works(sink: Sink) -> None:
    """Were it to wait for the database, these would come one after the other."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    before = ticks
    await sink.insert(chained(row(n) for n in range(3000)))
    assert ticks > before
    ticking.cancel()


async def test_a_closed_one_can_be_closed_again(sink: Sink) -> None:
    await sink.insert(TEN)
    await sink.close()
    await sink.close()
    with pytest.raises(SinkUnavailable, match="closed"):
        await sink.last()


def test_what_it_says_of_itself_holds_no_address() -> None:
    assert repr(Sink.of("postgresql://user:canary@host/db")) == "<Sink <Postgres not connected>>"
    assert repr(Sink.of("sqlite:/tmp/x.db")) == "<Sink <Sqlite /tmp/x.db>>"
