"""The data folder: private, one gateway's at a time, free again when that one is gone."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.store.folder import LONGEST_SOCKET, Folder, FolderInUse, FolderUnfit

HOLDER = """
import sys
from pathlib import Path
from gateway.store.folder import Folder
folder = Folder(Path(sys.argv[1]))
folder.take()
print("taken", flush=True)
sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a" / "data")
    folder.take()
    assert mode(folder.path) == 0o700
    assert mode(folder.path / "gateway.lock") == 0o600
    folder.give_up()


def test_the_second_is_told_who_has_it(tmp_path: Path) -> None:
    first, second = Folder(tmp_path / "data"), Folder(tmp_path / "data")
    first.take()
    with pytest.raises(FolderInUse, match=f"process {os.getpid()}") as refused:
        second.take()
    assert str(tmp_path / "data") in str(refused.value)
    second.give_up()
    first.give_up()
    second.take()
    second.give_up()
    assert repr(second).endswith("free>")


def test_a_killed_gateway_gives_it_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        folder = Folder(tmp_path / "data")
        with pytest.raises(FolderInUse, match=f"process {holder.pid}"):
            folder.take()
        holder.kill()
    folder.take()
    folder.give_up()


def test_somebody_elses_open_folder_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FolderUnfit, match="chmod 700"):
        Folder(tmp_path).take()
    assert mode(tmp_path) == 0o755


def test_our_own_folder_is_made_private_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    folder.take()
    folder.give_up()
    folder.path.chmod(0o755)
    folder.take()
    assert mode(folder.path) == 0o700
    folder.give_up()


def test_what_is_no_folder_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnfit, match="cannot be used"):
        Folder(tmp_path / "file").take()


def test_a_long_path_gets_a_short_private_socket_that_is_cleared_away(tmp_path: Path) -> None:
    folder = Folder(tmp_path / ("x" * LONGEST_SOCKET))
    folder.take()
    killed = folder.socket()
    assert len(os.fsencode(killed)) <= LONGEST_SOCKET
    assert mode(killed.parent) == 0o700
    assert folder._lock is not None
    os.close(folder._lock)  # as the kernel does for one that is killed
    folder.take()
    assert not killed.parent.exists()
    short = folder.socket()
    folder.give_up()
    assert not short.parent.exists()


def test_a_short_path_keeps_its_socket_inside(tmp_path: Path) -> None:
    folder = Folder(Path("/tmp/short"))
    assert folder.socket() == Path("/tmp/short/valkey.sock")
