"""Several processes are attacked where they differ from one: what they share, and what the dead leave."""

import asyncio
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TextIO, cast

import psutil
import pytest

from gateway.observability.logwriter import LogWriter, sink_of
from gateway.workers.wholelines import WholeLines
from tests.e2e.outage import CHAT, ENVIRON, INPUT, OUTPUT, RATED, config, question
from tests.running import ENVIRONMENT, KEY, configuration
from tests.scripted import Scripted, chat
from tests.served import Served, ask, gone, served
from tests.store.conftest import home
from tests.store.servers import Server, valkey
from tests.waiting import until, until_answer
from tests.workers.crowd import counters, crowd, gone_back, rows, workers

__all__ = ["home"]

TWO = ("--workers", "2")
COST = 9 * INPUT + 3 * OUTPUT
PROOF = bool(os.environ.get("GATEWAY_PROOF"))
STORM, TURNS = (40, 3) if PROOF else (2, 1)


def lines(gateway: Served) -> list[dict[str, object]]:
    """The access lines."""
    found = [json.loads(line) for line in gateway.output.splitlines() if line.startswith("{")]
    return [line for line in found if line["logger"] == "gateway.access"]


async def test_a_budget_is_one_however_many_workers_race_for_it(upstream: Scripted, tmp_path: Path) -> None:
    """With what is alike asked once by each worker at most, and every line of the log there at the end."""
    upstream.plan(chat())
    budget = 9 * COST
    text = configuration(upstream.base_url, tmp_path / "data", limits=f'["${budget / 10**9:.9f}/total"]')
    async with served(tmp_path, *TWO, config=text, environ=ENVIRONMENT) as gateway:
        body = question() | {"max_tokens": 3}

        async def one(number: int) -> int:
            more = {"seed": number if number % 2 else 0}
            return (await ask(gateway.url, body | more))[0]

        statuses = [status for _ in range(TURNS) for status in await asyncio.gather(*map(one, range(60)))]
        assert set(statuses) <= {200, 429}
        await until_answer(lambda: _ended(gateway), len(statuses))
        written = await rows(gateway)
        assert sum(row["cost_nano"] for row in written) == upstream.calls * COST <= budget
        assert await gateway.stop() == 0
    said = lines(gateway)
    assert len({line["request_id"] for line in said}) == len(said) == len(statuses)


async def _ended(gateway: Served) -> int:
    return len(await rows(gateway))


async def test_a_storm_of_kills_sets_no_counter_back_and_leaves_every_answer_in_the_books(
    upstream: Scripted, tmp_path: Path
) -> None:
    """Workers are killed as soon as they serve, while the page is read without a pause."""
    text = configuration(upstream.base_url, tmp_path / "data")
    environ = dict(ENVIRONMENT) | {"GATEWAY_STORE__LEASE": "1s"}
    async with served(tmp_path, *TWO, config=text, environ=environ) as gateway:
        clients = await crowd(gateway, 6)
        over, back = asyncio.Event(), list[str]()

        async def scrape() -> None:
            before: dict[str, float] = {}
            while not over.is_set():
                now = await counters(gateway)
                back.extend(gone_back(before, now))
                before = now

        async def load(number: int) -> None:
            while not over.is_set():
                number += len(clients)
                await clients[number % len(clients)].ask(number)

        loads = [asyncio.create_task(work) for work in (scrape(), *map(load, range(len(clients))))]
        for turn in range(STORM):
            victim = workers(gateway)[turn % 2]
            if turn % 4 == 1:  # one that is stopped is scraped all the same
                victim.suspend()
                await asyncio.sleep(0.2)
            victim.kill()
            await until(lambda dead=victim.pid: _two_without(gateway, dead))  # type: ignore[misc]
        over.set()
        await asyncio.gather(*loads)
        assert back == []
        answered = {name for client in clients for name in client.answered}
        await until_answer(lambda: _lacks(gateway, answered), set())
        for client in clients:
            await client.leave()
        assert await gateway.stop() == 0


def _two_without(gateway: Served, dead: int) -> bool:
    living = {worker.pid for worker in workers(gateway)}
    return len(living) == 2 and dead not in living


async def _lacks(gateway: Served, answered: set[str]) -> set[str]:
    return answered - {row["id"] for row in await rows(gateway)}


async def test_what_dead_workers_have_noted_is_charged_by_the_living(
    upstream: Scripted, tmp_path: Path, home: Path
) -> None:
    store = Server(valkey(), home).start()
    try:
        text = config(upstream, home, store.url, rates='["100 requests/hour"]')
        async with served(tmp_path, *TWO, config=text, environ=ENVIRON) as gateway:
            assert (await ask(gateway.url, question("before"), RATED, CHAT))[0] == 200
            store.freeze()
            asked = [ask(gateway.url, question(f"{n}"), RATED, CHAT) for n in range(20)]
            served_ = [headers for status, headers, _ in await asyncio.gather(*asked) if status == 200]
            assert served_
            for worker in workers(gateway):
                worker.kill()
            await asyncio.sleep(0.1)
            store.thaw()
            names = {headers["x-gateway-request-id"] for headers in served_}
            await until_answer(lambda: _lacks(gateway, names), set())
            written = [row for row in await rows(gateway) if row["id"] in names]
            assert len(written) == len(names)
            assert await gateway.stop() == 0
    finally:
        store.stop()


async def test_the_first_keys_are_shown_once_and_open_every_worker(
    upstream: Scripted, tmp_path: Path
) -> None:
    text = f'[[upstreams]]\nname = "scripted"\nbase_url = "{upstream.base_url}"\n'
    async with served(tmp_path, *TWO, config=text, environ={}) as gateway:
        await until(lambda: gateway.client_key in gateway.output)
        shown = [gateway.output.count(key) for key in (gateway.client_key, gateway.admin_key)]
        asked = (ask(gateway.url, question(str(n)), gateway.client_key) for n in range(12))
        assert {status for status, _, _ in await asyncio.gather(*asked)} == {200}
        family = [psutil.Process(gateway.process.pid), *gateway.children()]
        port = gateway.port
        victim = workers(gateway)[0]
        victim.kill()
        await until(lambda: _two_without(gateway, victim.pid))
        assert await gateway.stop() == 0
        await gone(family)
        with socket.socket() as free:  # the port is anybody's at once
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))
    assert shown == [gateway.output.count(key) for key in (gateway.client_key, gateway.admin_key)]
    assert "Traceback" not in gateway.output


@pytest.mark.parametrize("more", [(), TWO] if PROOF else [TWO])
async def test_every_line_is_there_when_it_ends_right_after_an_answer(
    upstream: Scripted, tmp_path: Path, more: tuple[str, ...]
) -> None:
    text = configuration(upstream.base_url, tmp_path / "data")
    async with served(tmp_path, *more, config=text, environ=ENVIRONMENT) as gateway:
        answers = await asyncio.gather(*(ask(gateway.url, question(str(n)), KEY) for n in range(40)))
        assert await gateway.stop() == 0
    said = lines(gateway)
    assert {line["request_id"] for line in said} == {one[1]["x-gateway-request-id"] for one in answers}
    assert len(said) == len(answers)
    if not more:
        times = [str(line["time"]) for line in said]
        assert times == sorted(times)


def test_lines_are_whole_and_none_is_lost_where_somebody_made_the_pipe_non_blocking() -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETFL, fcntl.fcntl(write, fcntl.F_GETFL) | os.O_NONBLOCK)
    writer = LogWriter(sink_of(cast(TextIO, WholeLines(write))))
    for number in range(4000):
        writer.put(b"%099d\n" % number)
    got = bytearray()

    def read_on() -> None:
        while data := os.read(read, 4096):
            got.extend(data)

    reader = threading.Thread(target=read_on)
    time.sleep(0.05)  # the pipe is full by then
    reader.start()
    assert writer.close(10)
    os.close(write)
    reader.join()
    os.close(read)
    assert writer.dropped == 0
    assert [int(line) for line in got.splitlines()] == list(range(4000))


_UNREAD = """
import socket, time
from gateway.workers.nursery import Nursery, Start
from gateway.workers.port import SharedPort
nursery = Nursery.fork(lambda number, channel, listening: time.sleep(60))
port = SharedPort.open("127.0.0.1", 0)
nursery.tell(Start(0, int(port.family), port.address), (socket.socketpair()[1], port.first()))
import select
select.select([nursery], (), ())
nursery.close()
port.close()
with socket.socket() as free:
    free.bind(port.address)
"""


def test_a_nursery_that_is_closed_before_its_report_was_read_ends_quietly_with_its_workers() -> None:
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", _UNREAD], cwd=root, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
