"""The child process: what it tells, and how it ends."""

import os
import select
import subprocess
import sys

import pytest

from gateway.upstream import local_server
from gateway.upstream.local_child import Child

pytestmark = pytest.mark.local

PARENT = """
import asyncio
from gateway.upstream.local_child import Child

async def main():
    child = await Child.launch("k", 0)
    print(child.pid, await child.port(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_it_tells_its_port_and_ends_when_told() -> None:
    child = await Child.launch("k", 0)
    assert await child.port() in range(1, 65536)
    await child.stop()
    assert await child.ended() == -15
    await child.stop()


async def test_it_ends_when_its_input_does() -> None:
    child = await Child.launch("k", 0)
    await child.port()
    assert child._process.stdin is not None
    child._process.stdin.close()
    assert await child.ended() == 0


async def test_a_start_that_fails_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders without a key are refused in words on standard error."""
    monkeypatch.setattr(local_server, "Orders", lambda parent, key, port: {"parent": parent, "port": port})
    child = await Child.launch("k", 0)
    assert await child.port() is None
    assert await child.ended() == 1
    assert "missing required field `key`" in child.last_words()


@pytest.mark.skipif(sys.platform != "linux", reason="parents are watched by the kernel on Linux alone")
def test_killing_its_parent_leaves_no_child() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, _ = parent.stdout.readline().split()
    child = os.pidfd_open(int(pid))
    try:
        parent.kill()
        parent.wait()
        ended, _, _ = select.select([child], [], [], 30)
        assert ended == [child]
    finally:
        os.close(child)
        parent.stdout.close()
