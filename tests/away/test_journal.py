"""What is noted outlives the process, however that ends."""

import asyncio
import logging
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.away import journal as journals
from gateway.away.journal import Journal
from tests.away.entries import pending
from tests.store.servers import NOW, Spawned, until

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from gateway.away.journal import Journal
from tests.away.entries import pending

journal = Journal.open(Path(sys.argv[1]))
journal.intend(pending("orphan", dispatched=True))
number = 0
while True:
    journal.keep(pending(f"h{number}", number))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


def drained(journal: Journal) -> list[str]:
    holds = []
    while (oldest := journal.oldest()) is not None:
        holds.append(oldest.hold)
        journal.done()
    return holds


def on_disk(journal: Journal) -> bool:
    return journal.durable


def test_nothing_that_was_kept_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    for kept in (1, 7, 200):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(kept):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().splitlines()
        writer.stdout.close()
        writer.wait()
        said = kept + len(rest)
        journal = Journal.open(tmp_path)
        holds = drained(journal)
        assert holds[0] == "orphan"
        # One more may have been kept, by a process that was killed before it could say so.
        assert holds[1:] in ([f"h{n}" for n in range(said + more)] for more in (-1, 0, 1))
        assert len(holds) > kept
        journal.close()
        assert not list(tmp_path.glob("*.log"))


def test_two_that_come_at_once_adopt_each_file_once(tmp_path: Path) -> None:
    dead = Journal.open(tmp_path)
    dead.keep(pending("a"))
    dead.close()
    one, other = Journal.open(tmp_path), Journal.open(tmp_path)
    assert (len(one), len(other)) == (1, 0)
    one.keep(pending("b"))
    assert other.adopt() == 0
    assert drained(one) == ["a", "b"]
    one.keep(pending("c"))
    one.close()
    assert other.adopt() == 1
    assert drained(other) == ["c"]
    other.close()


def test_what_waits_is_replayed_oldest_first_whoever_noted_it(tmp_path: Path) -> None:
    for name, at in (("second", NOW + 2), ("first", NOW + 1)):
        dead = Journal.open(tmp_path)
        dead.keep(pending(name, at=at))
        dead.close()
    journal = Journal.open(tmp_path)
    journal.keep(pending("zeroth", at=NOW))
    assert len(journal) == 3
    assert drained(journal) == ["zeroth", "first", "second"]
    assert len(journal) == 0
    journal.close()


def test_the_end_of_a_request_replaces_its_beginning(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    for name in ("kept", "forgotten"):
        journal.intend(pending(name))
    journal.keep(pending("kept"))
    journal.forget("forgotten")
    journal.close()
    journal = Journal.open(tmp_path)
    assert drained(journal) == ["kept"]
    journal.close()


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "journal").write_text("in the way")
    with caplog.at_level(logging.ERROR):
        journal = Journal.open(tmp_path / "journal")
        journal.intend(pending("a"))
        journal.keep(pending("a"))
        journal.keep(pending("b"))
    assert not on_disk(journal)
    assert [r.message for r in caplog.records if "memory only" in r.message] == [
        "the journal cannot be written: what is used while the store is away is kept in memory only"
    ]
    assert drained(journal) == ["a", "b"]
    journal.close()


def test_a_disk_that_fills_up_costs_nothing_and_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(tmp_path)
    journal.keep(pending("a", at=NOW))

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gateway.away.logfile.os.write", full)
    journal.keep(pending("b", at=NOW + 1))
    assert not on_disk(journal)
    assert len(journal) == 2
    monkeypatch.undo()
    journal.keep(pending("c", at=NOW + 2))
    assert on_disk(journal)
    assert drained(journal) == ["a", "b", "c"]
    journal.close()


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "journal").write_text("in the way")
    monkeypatch.setattr(journals, "MOST_IN_MEMORY", 2)
    journal = Journal.open(tmp_path / "journal")
    for name in "abcd":
        journal.keep(pending(name))
    assert (len(journal), journal.lost) == (2, 2)
    journal.close()


def test_what_cannot_be_used_is_put_aside(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    for name in "ab":
        journal.keep(pending(name))
    journal.set_aside()
    assert drained(journal) == ["b"]
    aside = tmp_path / "damaged"
    assert b'"hold":"a"' in aside.read_bytes()
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert journal.damaged == 1
    journal.close()


async def test_what_was_kept_goes_to_the_disk_off_the_loop(
    tmp_path: Path, spawn: Spawned, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(tmp_path)
    synced: list[int] = []
    monkeypatch.setattr("gateway.away.logfile.os.fdatasync", synced.append)
    syncing = spawn(journal.sync_forever(), "sync")
    for n in range(100):
        journal.keep(pending(f"h{n}"))
    await until(lambda: synced)
    assert len(synced) == 1
    journal.keep(pending("more"))
    await until(lambda: len(synced) == 2)
    syncing.cancel()
    await asyncio.gather(syncing, return_exceptions=True)
    monkeypatch.undo()
    journal.close()


def test_the_folder_is_private(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        journal = Journal.open(tmp_path / "journal")
        journal.keep(pending("a"))
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "journal").iterdir()}
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o700
    assert modes == {0o600}
    journal.close()
