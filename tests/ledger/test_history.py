"""Stream and sink as one: every row once and in order, while one is drained into the other and trimmed."""

import pytest

from gateway.ledger.drainer import Drainer
from gateway.ledger.filter import EVERYTHING, Filter
from gateway.ledger.history import MOST_SCANNED, History, Page
from gateway.ledger.sink import Sink
from gateway.store.base import Kept
from gateway.store.redis import RedisStore
from tests.ledger.rows import everything, row, write
from tests.store.servers import NOW, Server

STREAM = "gw:{0}:ledger"


def trim(own: Server, rows: list[Kept], first: int) -> None:
    """Row `first` is the oldest that stays in the stream."""
    own.tell(f"XTRIM {STREAM} MINID {rows[first - 1].position}")


async def walk(history: History, direction: str, count: int, where: Filter = EVERYTHING) -> list[int]:
    numbers: list[int] = []
    cursor = None
    while True:
        page: Page = await getattr(history, direction)(cursor, count, where)
        assert len(page.rows) <= count
        numbers += [kept.number for kept in page.rows]
        cursor = page.next
        if cursor is None:
            return numbers


async def test_nothing_is_an_end(store: RedisStore, sink: Sink) -> None:
    for history in (History(store.ledger, None), History(store.ledger, sink)):
        assert await history.newest(None, 10) == Page()
        assert await history.oldest(None, 10) == Page()


@pytest.mark.parametrize("count", [1, 3, 7, 1000])
async def test_each_row_is_found_once_in_order(
    own: Server, store: RedisStore, sink: Sink, count: int
) -> None:
    """Rows 1 to 12 are in the sink, 6 to 20 in the stream: some in one, some in the other, some in both."""
    await write(store, (row(n) for n in range(1, 13)))
    assert await Drainer(store.ledger, sink).finish(10)
    await write(store, (row(n) for n in range(13, 21)))
    rows = await everything(store)
    trim(own, rows, 6)
    history = History(store.ledger, sink)
    assert await walk(history, "newest", count) == list(range(20, 0, -1))
    assert await walk(history, "oldest", count) == list(range(1, 21))
    assert await walk(History(store.ledger, None), "newest", count) == list(range(20, 5, -1))
    assert await walk(History(store.ledger, None), "oldest", count) == list(range(6, 21))


async def test_filters_hold_for_both(own: Server, store: RedisStore, sink: Sink) -> None:
    keys = ["alice", "bob", "alice", "bob", "bob", "alice", "bob"]
    await write(store, (row(n, key=key) for n, key in enumerate(keys[:5], 1)))
    assert await Drainer(store.ledger, sink).finish(10)
    await write(store, (row(n, key=key) for n, key in enumerate(keys[5:], 6)))
    trim(own, await everything(store), 4)
    history = History(store.ledger, sink)
    for count in (1, 2, 10):
        assert await walk(history, "newest", count, Filter(key="bob")) == [7, 5, 4, 2]
        assert await walk(history, "oldest", count, Filter(key="bob")) == [2, 4, 5, 7]
        since = Filter(key="bob", since=NOW + 3000, until=NOW + 6000)
        assert await walk(history, "oldest", count, since) == [4, 5]


async def test_rows_that_leave_the_stream_between_two_pages_are_found_in_the_sink(
    own: Server, store: RedisStore, sink: Sink
) -> None:
    await write(store, (row(n) for n in range(1, 21)))
    assert await Drainer(store.ledger, sink).finish(10)
    rows = await everything(store)
    history = History(store.ledger, sink)
    page = await history.newest(None, 4)
    trim(own, rows, 19)
    rest = await history.newest(page.next, 100)
    assert [kept.number for kept in page.rows + rest.rows] == list(range(20, 0, -1))
    assert rest.next is None


async def test_rows_that_are_written_between_two_pages_come_at_the_end(store: RedisStore, sink: Sink) -> None:
    drainer = Drainer(store.ledger, sink)
    history = History(store.ledger, sink)
    found: list[int] = []
    cursor = None
    for n in range(1, 10):
        await write(store, [row(2 * n), row(2 * n + 1)])
        if n % 3 == 0:
            await drainer.drain_once()
        page = await history.oldest(cursor, 2)
        found += [kept.number for kept in page.rows]
        cursor = page.next
    assert found == list(range(1, 19))


async def test_one_call_looks_through_so_many_rows_and_no_more(store: RedisStore) -> None:
    """A page may be empty and not the last: whoever asks gets a cursor, and nobody waits long."""
    await write(store, (row(n, key="rare" if n == 1 else "alice") for n in range(1, MOST_SCANNED + 3)))
    history = History(store.ledger, None)
    page = await history.newest(None, 1, Filter(key="rare"))
    assert page.rows == []
    assert page.next is not None
    assert [kept.number for kept in (await history.newest(page.next, 1, Filter(key="rare"))).rows] == [1]
    assert (await history.oldest(None, 1, Filter(key="nobody"))).next is not None


@pytest.mark.parametrize("cursor", ["", "0", "x-y", "+", "-", "$"])
async def test_what_is_no_cursor_is_refused(store: RedisStore, cursor: str) -> None:
    history = History(store.ledger, None)
    with pytest.raises(ValueError, match="no position"):
        await history.newest(cursor, 1)
    with pytest.raises(ValueError, match="no position"):
        await history.oldest(cursor, 1)
    with pytest.raises(ValueError, match="at least one row"):
        await history.newest(None, 0)
