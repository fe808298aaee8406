"""From the store's stream into the database: every row once, whatever happens in between."""

import asyncio
import contextlib
import logging
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.ledger.drainer import Drainer
from gateway.ledger.failures import SinkUnavailable
from gateway.ledger.sink import Sink
from gateway.ledger.sqlite import Sqlite
from gateway.ledger.verify import verify
from gateway.policy.ledger import encode
from gateway.store.base import Kept
from gateway.store.redis import RedisStore
from tests.ledger import postgres
from tests.ledger.around import tamper
from tests.ledger.conftest import Open
from tests.ledger.rows import everything, row, write
from tests.store.servers import Connect, Server
from tests.waiting import until, until_answer

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def background() -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Drainers that run; ended with the test."""
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_the_store_wrote_is_in_the_sink_as_it_was(store: RedisStore, sink: Sink) -> None:
    await write(store, (row(n) for n in range(1, 26)))
    drainer = Drainer(store.ledger, sink, batch=10)
    assert [await drainer.drain_once() for _ in range(4)] == [10, 10, 5, 0]
    assert await sink.oldest(None, 100) == await everything(store)
    assert (drainer.drained, drainer.lost, drainer.behind) == (25, 0, 0)


async def test_it_goes_on_where_the_sink_has_come_to(store: RedisStore, sink: Sink) -> None:
    await write(store, (row(n) for n in range(1, 4)))
    assert await Drainer(store.ledger, sink).finish(10)
    await write(store, (row(n) for n in range(4, 6)))
    later = Drainer(store.ledger, sink)
    assert later.behind is None
    assert await later.drain_once() == 2
    assert later.drained == 2
    assert await sink.oldest(None, 100) == await everything(store)


async def test_it_says_how_far_behind_the_sink_is(store: RedisStore, sink: Sink) -> None:
    await write(store, (row(n) for n in range(1, 9)))
    drainer = Drainer(store.ledger, sink, batch=3)
    await drainer.drain_once()
    assert drainer.behind == 5


async def test_it_runs_until_it_is_ended_and_the_rest_is_drained_then(
    store: RedisStore, sink: Sink, background: list["asyncio.Task[None]"]
) -> None:
    drainer = Drainer(store.ledger, sink, poll=0.01)

    def drained(count: int) -> bool:
        return drainer.drained == count

    background.append(asyncio.create_task(drainer.run()))
    for n in range(1, 4):
        await write(store, [row(n)])
        await until(partial(drained, n))
    background[0].cancel()
    await write(store, (row(n) for n in range(4, 9)))
    assert await drainer.finish(10)
    assert await sink.oldest(None, 100) == await everything(store)


async def test_rows_that_were_trimmed_before_are_counted_and_said(
    own: Server, connect: Connect, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    store = await connect(own.url)
    await write(store, (row(n) for n in range(1, 4)))
    drainer = Drainer(store.ledger, sink)
    await drainer.drain_once()
    await write(store, (row(n) for n in range(4, 11)))
    rows = await everything(store)
    for gone in (rows[3], rows[4], rows[7]):
        own.tell(f"XDEL gw:{{0}}:ledger {gone.position}")
    with caplog.at_level(logging.ERROR, "gateway"):
        while await drainer.drain_once():
            pass
    assert (drainer.drained, drainer.lost, drainer.behind) == (7, 3, 0)
    assert [record.__dict__["count"] for record in caplog.records] == [3]


async def test_a_first_sink_has_not_lost_what_was_there_before_it(
    own: Server, store: RedisStore, sink: Sink
) -> None:
    await write(store, (row(n) for n in range(1, 6)))
    own.tell(f"XDEL gw:{{0}}:ledger {(await everything(store))[0].position}")
    drainer = Drainer(store.ledger, sink)
    await drainer.drain_once()
    assert (drainer.drained, drainer.lost) == (4, 0)


async def test_several_may_drain_into_one_sink(store: RedisStore, open_sink: Open) -> None:
    await write(store, (row(n) for n in range(1, 301)))
    drainers = [Drainer(store.ledger, await open_sink(), batch=7) for _ in range(3)]
    assert all(await asyncio.gather(*(drainer.finish(60) for drainer in drainers)))
    assert sum(drainer.drained for drainer in drainers) == 300
    assert await (await open_sink()).oldest(None, 1000) == await everything(store)


async def test_a_database_that_comes_back_with_fewer_rows_gets_them_again(
    store: RedisStore, tmp_path: Path
) -> None:
    """A replica that had not come as far, or a backup of the night."""
    path = tmp_path / "ledger.sqlite3"
    sink = Sink(Sqlite(path, patience=0.05))
    drainer = Drainer(store.ledger, sink)
    await write(store, (row(n) for n in range(1, 9)))
    await drainer.drain_once()
    await write(store, [row(9)])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM gateway_ledger WHERE number > 5")
        with pytest.raises(SinkUnavailable):
            await drainer.drain_once()
        other.execute("COMMIT")
    assert await drainer.drain_once() == 4
    assert await sink.oldest(None, 10) == await everything(store)
    await sink.close()


async def test_a_row_that_was_drained_already_under_another_position_stops_nothing(
    own: Server, store: RedisStore, sink: Sink
) -> None:
    """As after a crash that took the store's last second: the request's lease is written again."""
    await write(store, (row(n) for n in range(1, 4)))
    last = (await everything(store))[-1]
    own.tell(f"XADD gw:{{0}}:ledger {int(last.position[:-2]) + 1}-0 n 4 row {last.row.decode()!r} hash 0")
    assert len(await everything(store)) == 4
    drainer = Drainer(store.ledger, sink)
    assert [await drainer.drain_once() for _ in range(2)] == [4, 0]
    await write(store, (row(n) for n in range(4, 6)))
    assert await drainer.drain_once() == 2
    assert len(await sink.oldest(None, 10)) == 5


async def test_a_store_that_lost_its_last_rows_goes_on_behind_them(
    own: Server, connect: Connect, sink: Sink
) -> None:
    store = await connect(own.url)
    await write(store, (row(n) for n in range(1, 6)))
    assert await Drainer(store.ledger, sink).finish(10)
    own.tell("FLUSHALL")
    drainer = Drainer(store.ledger, sink)
    assert await drainer.drain_once() == 0
    await write(store, (row(n) for n in range(6, 9)))
    assert await drainer.drain_once() == 3
    assert (await verify(store.ledger, sink, None, 1000)).broken is None
    assert [kept.number for kept in await sink.oldest(None, 10)] == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_store_that_loses_its_last_rows_meanwhile_goes_on_behind_them(
    own: Server, connect: Connect, sink: Sink
) -> None:
    store = await connect(own.url)
    drainer = Drainer(store.ledger, sink)
    await write(store, (row(n) for n in range(1, 6)))
    assert await drainer.drain_once() == 5
    own.tell("FLUSHALL")
    assert await drainer.drain_once() == 0
    assert (await store.ledger.head())[0] == 5
    await write(store, (row(n) for n in range(6, 9)))
    assert await drainer.drain_once() == 3
    assert (await verify(store.ledger, sink, None, 1000)).broken is None


async def test_a_store_that_is_not_trusted_is_neither_drained_nor_written_to(
    store: RedisStore, sink: Sink
) -> None:
    trusted = False

    async def ask() -> bool:
        return trusted

    await sink.insert([Kept("1-0", 1, encode(row(1)), "hash")])
    drainer = Drainer(store.ledger, sink, trusted=ask)
    with pytest.raises(StoreUnavailable):
        await drainer.drain_once()
    assert not await drainer.finish(10)
    assert await store.ledger.head() == (0, "")
    trusted = True
    assert await drainer.drain_once() == 0
    assert await store.ledger.head() == (1, "hash")


async def test_another_store_in_the_same_table_is_told(
    own: Server, store: RedisStore, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    await write(store, (row(n) for n in range(1, 4)))
    assert await Drainer(store.ledger, sink).finish(10)
    own.tell("FLUSHALL")
    await write(store, (row(n) for n in range(4, 9)))
    with caplog.at_level(logging.ERROR, "gateway"):
        assert await Drainer(store.ledger, sink).finish(10)
    assert [record.message for record in caplog.records] == [
        "the ledger's sink holds rows of another ledger: is another store drained into it?"
    ]


@pytest.mark.postgres
async def test_a_database_that_goes_away_is_said_once_and_drained_when_it_is_back(
    store: RedisStore, background: list["asyncio.Task[None]"], caplog: pytest.LogCaptureFixture
) -> None:
    server = postgres.make()
    sink = Sink.of(server.url)
    drainer = Drainer(store.ledger, sink, poll=0.01)
    try:
        with caplog.at_level(logging.INFO, "gateway"):
            background.append(asyncio.create_task(drainer.run()))
            await write(store, [row(1)])
            await until(lambda: drainer.drained == 1)
            server.stop()
            await write(store, [row(2)])
            await until(lambda: drainer.away)
            server.start()
            await until(lambda: drainer.drained == 2 and not drainer.away)
        said = [(record.levelname, record.message) for record in caplog.records if "ledger" in record.message]
        assert [level for level, _ in said] == ["ERROR", "INFO"]
        assert postgres.PASSWORD not in caplog.text
        assert await sink.oldest(None, 10) == await everything(store)
    finally:
        await sink.close()
        postgres.remove(server)


async def test_an_outage_is_said_once_however_often_it_is_tried(
    store: RedisStore, background: list["asyncio.Task[None]"], caplog: pytest.LogCaptureFixture
) -> None:
    tried = 0

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        sink = Sink.of(f"postgresql://gateway:canary@127.0.0.1:{port}/ledger?sslmode=disable")
        with caplog.at_level(logging.INFO, "gateway"):
            background.append(asyncio.create_task(Drainer(store.ledger, sink, poll=0.001).run()))
            await until(lambda: tried >= 4)
        said = "the ledger is not drained: The ledger's PostgreSQL cannot be used: it ended the connection."
        assert [record.getMessage() for record in caplog.records] == [said]
        await sink.close()


@pytest.mark.postgres
async def test_a_database_that_is_not_there_at_the_start_is_waited_for(
    store: RedisStore, background: list["asyncio.Task[None]"]
) -> None:
    server = postgres.make()
    server.stop()
    sink = Sink.of(server.url)
    drainer = Drainer(store.ledger, sink, poll=0.01)
    try:
        await write(store, [row(1)])
        background.append(asyncio.create_task(drainer.run()))
        await until(lambda: drainer.away)
        assert not await drainer.finish(10)
        server.start()
        await until(lambda: drainer.drained == 1)
    finally:
        await sink.close()
        postgres.remove(server)


async def test_a_store_that_goes_away_ends_nothing(
    own: Server, connect: Connect, sink: Sink, background: list["asyncio.Task[None]"]
) -> None:
    store = await connect(own.url, deadline=0.2)
    drainer = Drainer(store.ledger, sink, poll=0.01)
    background.append(asyncio.create_task(drainer.run()))
    await until(lambda: drainer.behind == 0)
    own.stop()
    await until(lambda: not store.up)
    assert not await drainer.finish(10)
    own.start()
    await until(lambda: store.up)
    await write(store, [row(1)])
    await until(lambda: drainer.drained == 1)


CHILD = """
import asyncio, sys
from gateway.ledger.drainer import Drainer
from gateway.ledger.sink import Sink
from gateway.store.redis import open_store

async def main(url, target):
    def spawn(work, name):
        return asyncio.get_running_loop().create_task(work, name=name)
    store = await open_store(url, deadline=5.0, timezone="UTC", max_memory=2**20, spawn=spawn)
    await Drainer(store.ledger, await Sink.open(target), batch=10).run()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_one_that_is_killed_in_the_middle_is_gone_on_from(
    own: Server, store: RedisStore, sink: Sink, target: str
) -> None:
    await write(store, (row(n) for n in range(1, 4001)))
    rows = await everything(store)
    for killed_at in (1, 800, 1600):
        await _drain_and_kill(own.url, target, sink, rows, killed_at)
    drainer = Drainer(store.ledger, sink)
    assert await drainer.finish(60)
    assert drainer.drained > 0
    assert await sink.oldest(None, 5000) == rows
    assert Counter(tamper(target, "SELECT id FROM gateway_ledger")).most_common(1)[0][1] == 1
    report = await verify(store.ledger, sink, None, 10_000)
    assert (report.rows, report.broken, report.done) == (4000, None, True)


async def _drain_and_kill(url: str, target: str, sink: Sink, rows: list[Kept], at: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, url, target], cwd=ROOT)

    async def far_enough() -> bool:
        last = await sink.last()
        return last is not None and last.number >= at

    try:
        await until_answer(far_enough, True)
    finally:
        child.kill()
        child.wait()
    last = await sink.last()
    assert last is not None
    assert last.number < len(rows), "it was through before it could be killed"
    assert await sink.oldest(None, 5000) == rows[: last.number]
