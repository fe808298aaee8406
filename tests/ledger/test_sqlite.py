"""The ledger in a file: private, whole after a crash, and honest about what is wrong with it."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from gateway.ledger.failures import SinkUnavailable
from gateway.ledger.sink import Sink
from gateway.ledger.sqlite import Sqlite
from tests.ledger.rows import chained, row

ROWS = chained(row(n) for n in range(1, 6))


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "ledger.sqlite3"
    sink = await Sink.open(f"sqlite:{path}")
    await sink.insert(ROWS)
    await sink.close()
    return path


async def test_it_is_for_this_user_alone(file: Path) -> None:
    sink = await Sink.open(f"sqlite:{file}")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (file.parent, *file.parent.iterdir())}
    assert set(modes.values()) == {0o700, 0o600}
    assert modes["data"] == 0o700
    await sink.close()


async def test_it_is_written_ahead_and_asks_the_disk_no_more_than_it_must(file: Path) -> None:
    database = Sqlite(file)
    assert database.select("PRAGMA journal_mode", []) == [("wal",)]
    assert database.select("PRAGMA synchronous", []) == [(1,)]
    database.close()


async def test_another_program_that_writes_is_waited_for_and_no_longer_than_that(file: Path) -> None:
    sink = Sink(Sqlite(file, patience=0.05))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    more = chained([row(6)], ROWS[-1].hash, 6)
    with pytest.raises(SinkUnavailable, match="another program keeps it locked"):
        await sink.insert(more)
    assert await sink.oldest(None, 10) == ROWS  # readers need not wait
    other.execute("ROLLBACK")
    assert await sink.insert(more) == 1
    other.close()
    await sink.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b"this is no database" * 100), "no SQLite database"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
        (lambda path: (path.unlink(), path.parent.rmdir(), path.parent.write_text("")), "File exists"),
    ],
)
async def test_a_file_that_cannot_be_used_is_said_to_be_so(file: Path, spoil: object, words: str) -> None:
    for beside in file.parent.glob("*-*"):
        beside.unlink()
    assert callable(spoil)
    spoil(file)
    with pytest.raises(SinkUnavailable, match=words):
        await Sink.open(f"sqlite:{file}")


async def test_a_disk_that_is_full_takes_nothing_and_leaves_what_is_there(file: Path) -> None:
    database = Sqlite(file)
    sink = Sink(database)
    await sink.last()
    ((pages,),) = database.select("PRAGMA page_count", [])
    database.select(f"PRAGMA max_page_count = {pages}", [])
    with pytest.raises(SinkUnavailable, match="the disk is full"):
        await sink.insert(chained([row(n) for n in range(6, 100)], ROWS[-1].hash, 6))
    assert await sink.oldest(None, 100) == ROWS
    await sink.close()


async def test_a_query_without_end_is_ended(file: Path) -> None:
    """And the thread is free again for what comes next."""
    database = Sqlite(file)
    sink = Sink(database, deadline=0.2)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(SinkUnavailable, match="takes too long"):
        await sink._ask(lambda: database.select(endless, []))
    async with asyncio.timeout(20):
        while True:
            try:
                assert await sink.last() == ROWS[-1]
                break
            except SinkUnavailable:
                continue
    await sink.close()


async def test_bytes_that_are_no_text_hide_no_other_row(file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("UPDATE gateway_ledger SET row = CAST(x'7bff' AS TEXT) WHERE number = 2")
    other.close()
    sink = await Sink.open(f"sqlite:{file}")
    assert [each.row for each in await sink.oldest(None, 10)] == [
        *(ROWS[0].row, b"{\xff"),
        *(each.row for each in ROWS[2:]),
    ]
    assert [bool(each.differing) for each in await sink.audit(None, 10)] == [False, True, False, False, False]
    await sink.close()


async def test_a_table_beside_it_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE mine (a)")
    other.execute("PRAGMA user_version = 99")
    sink = await Sink.open(f"sqlite:{path}")
    await sink.insert(ROWS)
    await sink.close()
    assert other.execute("PRAGMA user_version").fetchall() == [(99,)]
    assert other.execute("SELECT count(*) FROM mine").fetchall() == [(0,)]
    other.close()


def test_its_file_and_folder_are_made_when_they_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.db"
    Sqlite(path)
    assert not path.parent.exists()
    assert os.listdir(tmp_path) == []
