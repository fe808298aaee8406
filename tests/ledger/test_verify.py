"""The whole ledger is verified, wherever its rows are; what somebody did to the table is named."""

import pytest

from gateway.ledger.drainer import Drainer
from gateway.ledger.sink import Sink
from gateway.ledger.verify import Report, verify
from gateway.policy.chain import link
from gateway.store.redis import RedisStore
from tests.ledger.around import tamper
from tests.ledger.rows import everything, row, write
from tests.ledger.test_history import trim
from tests.store.servers import Server

COPY = (
    "INSERT INTO gateway_ledger (position_ms, position_seq, number, id, row, hash) "
    "SELECT position_ms, position_seq + 1, number, 'another', row, hash FROM gateway_ledger WHERE number = 4"
)


@pytest.fixture
async def drained(own: Server, store: RedisStore, sink: Sink) -> RedisStore:
    """Rows 1 to 12 are in the sink, 6 to 20 in the stream."""
    await write(store, (row(n) for n in range(1, 13)))
    assert await Drainer(store.ledger, sink).finish(10)
    await write(store, (row(n) for n in range(13, 21)))
    trim(own, await everything(store), 6)
    return store


async def whole(store: RedisStore, sink: Sink | None) -> Report:
    return await verify(store.ledger, sink, None, 10_000)


async def test_a_whole_ledger_is_right_to_its_head(drained: RedisStore, sink: Sink) -> None:
    number, head = await drained.ledger.head()
    assert number == 20
    assert await whole(drained, sink) == Report(20, 1, 20, head, None, True)


@pytest.mark.parametrize("most", [1, 3, 7, 19, 20, 21])
async def test_it_can_be_done_in_pieces(drained: RedisStore, sink: Sink, most: int) -> None:
    reports = [await verify(drained.ledger, sink, None, most)]
    while reports[-1].next is not None:
        assert not reports[-1].done
        reports.append(await verify(drained.ledger, sink, reports[-1].next, most))
    assert reports[-1].done
    assert sum(each.rows for each in reports) == 20
    assert [each.first for each in reports if each.rows] == [n for n in range(1, 21) if (n - 1) % most == 0]
    assert reports[-1].head == (await drained.ledger.head())[1]


async def test_a_sink_is_longer_than_one_page_of_it(own: Server, store: RedisStore, sink: Sink) -> None:
    await write(store, (row(n) for n in range(1, 451)))
    assert await Drainer(store.ledger, sink).finish(60)
    trim(own, await everything(store), 440)
    report = await whole(store, sink)
    assert (report.rows, report.broken, report.done) == (450, None, True)


async def test_without_a_sink_it_begins_where_the_stream_does(drained: RedisStore) -> None:
    report = await whole(drained, None)
    assert (report.rows, report.first, report.last, report.broken) == (15, 6, 20, None)


async def test_an_empty_ledger_is_right(store: RedisStore, sink: Sink) -> None:
    assert await whole(store, sink) == Report(0, None, None, "", None, True)


@pytest.mark.parametrize(
    ("done", "number", "why"),
    [
        ("UPDATE gateway_ledger SET row = replace(row, 'alice', 'bob') WHERE number = 4", 4, "its hash"),
        ("UPDATE gateway_ledger SET hash = '0' WHERE number = 4", 4, "its hash"),
        ("UPDATE gateway_ledger SET cost_nano = 0 WHERE number = 4", 4, "its column cost_nano"),
        ("UPDATE gateway_ledger SET key = NULL WHERE number = 4", 4, "its column key"),
        ("DELETE FROM gateway_ledger WHERE number = 4", 4, "missing"),
        ("DELETE FROM gateway_ledger WHERE number > 3 AND number < 8", 4, "up to 7 are missing"),
        (COPY, 4, "comes after row 4"),
        ("UPDATE gateway_ledger SET number = 5 WHERE number = 4", 4, "missing"),
    ],
)
async def test_what_was_done_to_the_table_is_named(
    drained: RedisStore, sink: Sink, target: str, done: str, number: int, why: str
) -> None:
    tamper(target, done)
    report = await whole(drained, sink)
    assert report.broken is not None
    assert report.broken[0] == number
    assert why in report.broken[1]
    assert (report.next, report.done) == (None, False)


async def test_a_piece_that_follows_a_changed_row_is_linked_to_it(
    drained: RedisStore, sink: Sink, target: str
) -> None:
    """Changed between two calls, with a hash that fits: the next piece begins with a row that does not."""
    first = await verify(drained.ledger, sink, None, 4)
    kept = (await sink.oldest(None, 4))[-1]
    text = kept.row.replace(b"alice", b"boris").decode()
    fits = link((await sink.oldest(None, 3))[-1].hash, 4, text.encode())
    tamper(target, f"UPDATE gateway_ledger SET row = '{text}', hash = '{fits}' WHERE number = 4")
    second = await verify(drained.ledger, sink, first.next, 4)
    assert second.broken is not None
    assert second.broken[0] == 5


async def test_a_tail_that_was_chained_anew_does_not_end_as_the_store_knows(
    own: Server, drained: RedisStore, sink: Sink, target: str
) -> None:
    assert await Drainer(drained.ledger, sink).finish(10)
    own.tell("XTRIM gw:{0}:ledger MAXLEN 0")
    previous = (await sink.oldest(None, 18))[-1].hash
    for kept in (await sink.oldest(None, 20))[18:]:
        text = kept.row.replace(b"alice", b"boris")
        previous = link(previous, kept.number, text)
        tamper(
            target,
            f"UPDATE gateway_ledger SET key = 'boris', row = '{text.decode()}', hash = '{previous}' "
            f"WHERE number = {kept.number}",
        )
    report = await whole(drained, sink)
    assert report.broken == (20, "the store knows another hash for it")


async def test_rows_that_were_cut_off_at_the_end_are_missed(
    own: Server, drained: RedisStore, sink: Sink, target: str
) -> None:
    assert await Drainer(drained.ledger, sink).finish(10)
    own.tell("XTRIM gw:{0}:ledger MAXLEN 0")
    tamper(target, "DELETE FROM gateway_ledger WHERE number > 17")
    assert (await whole(drained, sink)).broken == (18, "the rows up to 20 are missing")


async def test_a_beginning_that_was_let_go_of_is_no_break(
    drained: RedisStore, sink: Sink, target: str
) -> None:
    tamper(target, "DELETE FROM gateway_ledger WHERE number < 4")
    report = await whole(drained, sink)
    assert (report.first, report.rows, report.broken, report.done) == (4, 17, None, True)


async def test_what_is_no_position_is_refused(store: RedisStore, sink: Sink) -> None:
    with pytest.raises(ValueError, match="no position"):
        await verify(store.ledger, sink, "nonsense", 1)
