"""A server on a leash: it does not outlive its parent, and waits for its predecessor."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gateway.store import leash

PARENT = """
import os, subprocess, sys
leash, lock, *program = sys.argv[1:]
child = subprocess.Popen([sys.executable, "-I", "-S", leash, str(os.getpid()), lock, *program])
print(child.pid, flush=True)
sys.stdin.read()
os.kill(os.getpid(), 9)
"""
# says that it runs, then until it is ended
PROGRAM = ["/bin/sh", "-c", "echo runs; exec sleep 600"]


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, leash.__file__, str(tmp_path / "lock"), *PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert parent.stdout.readline() == "runs\n"
        assert parent.stdin is not None
        parent.stdin.close()
        parent.wait(10)
        child.wait(10)


def test_it_does_not_start_when_its_parent_is_gone_already(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", leash.__file__, "1", str(tmp_path / "lock"), "/bin/echo", "runs"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_lock_is_the_programs_own_for_as_long_as_it_runs(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    me = str(os.getpid())
    command = [sys.executable, "-I", "-S", leash.__file__, me, str(lock), *PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "runs\n"
        with lock.open() as file:
            with pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            child.kill()
            child.wait(10)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_it_waits_until_its_predecessor_has_let_go(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), str(lock), "/bin/echo", "runs"]
    with lock.open("w") as predecessor:
        fcntl.flock(predecessor, fcntl.LOCK_EX)
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        process = psutil.Process(child.pid)
        while str(lock) not in [file.path for file in process.open_files()]:
            assert child.poll() is None
        assert child.poll() is None
    assert child.communicate(timeout=10)[0] == "runs\n"


def test_a_predecessor_that_never_ends_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leash, "PATIENCE", 0.03)
    first = leash.take(str(tmp_path / "lock"))
    assert first is not None
    assert leash.take(str(tmp_path / "lock")) is None
    os.close(first)
    second = leash.take(str(tmp_path / "lock"))
    assert second is not None
    os.close(second)
