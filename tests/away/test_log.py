"""What one process notes: replayed in its order, and taken over when it dies."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.away import log as logs
from gateway.away.frames import encode
from gateway.away.log import Log
from gateway.away.logfile import LogFile
from tests.away.entries import pending


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LogFile]:
    file = LogFile.create(tmp_path)
    yield file
    file.close()


def inherited(file: LogFile, damaged: list[bytes] | None = None) -> Log:
    """A dead process's log, of which the file is a copy."""
    copy = file.path.with_name(file.path.name + ".copy")
    shutil.copy(file.path, copy)
    adopted = LogFile.adopt(copy)
    assert adopted is not None
    return Log.inherit(adopted, (damaged if damaged is not None else []).append)


def unexpected(line: bytes) -> None:
    raise AssertionError(line)


def drained(log: Log) -> list[str]:
    holds = []
    while (oldest := log.oldest()) is not None:
        holds.append(oldest.hold)
        log.done()
    return holds


def test_it_is_replayed_in_its_order_and_then_takes_no_room(file: LogFile) -> None:
    log = Log(file, unexpected)
    for name in ("a", "b", "c"):
        log.note(pending(name))
    assert log.waiting == 3
    assert log.oldest() == log.oldest() == pending("a")
    assert drained(log) == ["a", "b", "c"]
    assert (log.empty, file.path.stat().st_size) == (True, 0)
    log.note(pending("d"))
    assert drained(log) == ["d"]


def test_the_living_keep_what_they_have_under_way(file: LogFile) -> None:
    log = Log(file, unexpected)
    log.note(pending("a", dispatched=True))
    log.note(pending("b", dispatched=True))
    assert log.oldest() is None
    log.note(pending("a", 5))
    assert drained(log) == ["a"]
    assert file.size
    log.forget("b")
    log.forget("never intended")
    assert (log.empty, file.size) == (True, 0)


def test_what_the_dead_had_under_way_is_charged_first(file: LogFile) -> None:
    log = Log(file, unexpected)
    for name in ("a", "b", "c"):
        log.note(pending(name, dispatched=True))
    log.note(pending("a", 5))
    log.forget("b")
    log.note(pending("d", 5))
    left = inherited(file)
    assert left.waiting == 3
    assert drained(left) == ["c", "a", "d"]
    assert left.empty


def test_what_was_replayed_is_not_replayed_by_the_next(
    file: LogFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_MARK_EVERY", 2)
    log = Log(file, unexpected)
    log.note(pending("orphan", dispatched=True))
    for name in "abcdef":
        log.note(pending(name))
    for _ in range(5):
        assert log.oldest()
        log.done()
    left = inherited(file)
    assert left.oldest() == pending("orphan", dispatched=True)
    left.done()
    assert left.oldest() == pending("e")  # done, and not yet marked: the store knows it by its id
    again = inherited(left.file)
    assert drained(again) == ["e", "f"]


def test_a_torn_end_is_cut_off_at_every_byte(file: LogFile) -> None:
    """However much of the last line got to the disk: those before it are there, and new ones are readable."""
    whole = [encode(pending("a", dispatched=True)), encode(pending("b")), encode(pending("c"))]
    text = b"".join(whole)
    for length in range(len(text)):
        path = file.path.with_name("torn")
        path.write_bytes(text[:length])
        adopted = LogFile.adopt(path)
        assert adopted is not None
        damaged: list[bytes] = []
        log = Log.inherit(adopted, damaged.append)
        complete = [name for name, end in zip("abc", ends(whole), strict=True) if end <= length]
        log.file.append(encode(pending("z")))
        log.waiting += 1
        assert drained(log) == [*complete, "z"]
        assert not damaged
        adopted.close()


def ends(lines: list[bytes]) -> list[int]:
    return [sum(map(len, lines[: n + 1])) for n in range(len(lines))]


def test_a_damaged_line_costs_no_other(file: LogFile) -> None:
    log = Log(file, unexpected)
    for name in "abc":
        log.note(pending(name))
    text = bytearray(file.path.read_bytes())
    middle = len(encode(pending("a"))) + 40
    text[middle] ^= 1
    file.path.write_bytes(bytes(text))
    damaged: list[bytes] = []
    left = inherited(file, damaged)
    assert left.waiting == 2
    assert drained(left) == ["a", "c"]
    assert len(damaged) == 1
    assert b'"pending"' in damaged[0]
