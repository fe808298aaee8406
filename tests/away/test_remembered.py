"""What a restart knows of its store."""

import logging
import stat
from pathlib import Path

import pytest

from gateway.away.remembered import Memory, Remembered


def test_it_is_read_as_it_was_written_and_is_private(tmp_path: Path) -> None:
    remembered = Remembered(tmp_path / "data", "redis://host:6379/0")
    assert remembered.read() is None
    remembered.write(Memory("one", "ab"))
    remembered.write(Memory("two", "cd"))
    assert remembered.read() == Memory("two", "cd")
    assert stat.S_IMODE(remembered.path.stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == [remembered.path.name]


def test_each_store_has_its_own_and_a_new_password_changes_nothing(tmp_path: Path) -> None:
    paths = [
        Remembered(tmp_path, url).path
        for url in ("redis://host/0", "redis://u:secret@host/0", "redis://host/1", "unix:///host/0")
    ]
    assert paths[0] == paths[1]
    assert len(set(paths)) == 3


@pytest.mark.parametrize("text", [b"", b"{", b'{"admin": ""}'])
def test_what_cannot_be_read_is_not_taken_for_a_first_start(tmp_path: Path, text: bytes) -> None:
    remembered = Remembered(tmp_path, "redis://host")
    remembered.path.write_bytes(text)
    with pytest.raises(ValueError, match="cannot be read"):
        remembered.read()


def test_a_folder_that_takes_no_files_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "data").write_text("in the way")
    with caplog.at_level(logging.ERROR):
        Remembered(tmp_path / "data", "redis://host").write(Memory("one"))
    assert "cannot be remembered" in caplog.text
