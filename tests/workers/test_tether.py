"""A tethered process ends with its parent, also when that is killed, and when it is gone before."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PARENT = """
import os, signal, sys, time
from gateway.workers.tether import tether
me = os.getpid()
child = os.fork()
if child == 0:
    tether(me if sys.argv[1] == "alive" else 1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    print(os.getpid(), flush=True)
    time.sleep(60)
    os._exit(0)
if sys.argv[1] == "alive":
    time.sleep(60)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def start(parent: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, parent], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_it_is_killed_with_its_parent() -> None:
    with start("alive") as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
        gone, _ = psutil.wait_procs([child], 30)
        assert gone == [child]


def test_it_ends_at_once_where_its_parent_is_gone() -> None:
    with start("gone") as parent:
        said, _ = parent.communicate()
        assert said.split() == [str(-signal.SIGKILL)]
