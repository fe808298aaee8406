"""A file that only grows, of one process at a time."""

import os
import stat
from pathlib import Path

import pytest

from gateway.away.logfile import LogFile


def test_it_is_private_and_keeps_whole_lines(tmp_path: Path) -> None:
    file = LogFile.create(tmp_path)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    long = b"x" * 200_000
    for line in (b"one\n", long + b"\n", b"half"):
        file.append(line)
    assert list(file.lines(0)) == [(b"one", 4), (long, 200_005)]
    assert list(file.lines(4)) == [(long, 200_005)]
    file.close()


def test_nobody_adopts_it_while_its_process_lives(tmp_path: Path) -> None:
    file = LogFile.create(tmp_path)
    assert LogFile.adopt(file.path) is None
    file.close()
    first, second = LogFile.adopt(file.path), LogFile.adopt(file.path)
    assert first is not None
    assert second is None
    first.close()


def test_what_somebody_has_finished_with_is_not_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file goes away after it was opened, and before it is locked."""
    file = LogFile.create(tmp_path)
    file.append(b"line\n")
    file.close()
    opened = os.open

    def late(path: Path, flags: int) -> int:
        descriptor = opened(path, flags)
        os.unlink(path)
        return descriptor

    monkeypatch.setattr("gateway.away.logfile.os.open", late)
    assert LogFile.adopt(file.path) is None
    monkeypatch.undo()
    assert LogFile.adopt(file.path) is None


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LogFile.create(tmp_path)
    file.append(b"one\n")
    write = os.write
    room = [3]

    def nearly_full(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr("gateway.away.logfile.os.write", nearly_full)
    with pytest.raises(OSError, match="No space"):
        file.append(b"second\n")
    monkeypatch.undo()
    file.append(b"third\n")
    assert [line for line, _ in file.lines(0)] == [b"one", b"third"]
    file.close()
