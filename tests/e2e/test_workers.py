"""Several workers are one gateway: one port, one set of limits, one ledger, one page of metrics, one end."""

import asyncio
import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.running import ENVIRONMENT, KEY, configuration
from tests.scripted import Scripted, sse
from tests.served import Served, ask, gone, served
from tests.waiting import until_answer
from tests.workers.crowd import (
    QUESTION,
    Client,
    admin,
    counters,
    crowd,
    gone_back,
    replaced,
    rows,
    workers,
)

DELTA = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
END = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
TWO = ("--workers", "2")
ENVIRON = dict(ENVIRONMENT) | {"GATEWAY_STORE__LEASE": "1s"}
PROOF = bool(os.environ.get("GATEWAY_PROOF"))
KILLS, SECONDS_BETWEEN = (60, 1.0) if PROOF else (2, 0.7)


def config(upstream: Scripted, folder: Path, limits: str = "[]", everybody: str = "[]") -> str:
    return configuration(upstream.base_url, folder / "data", limits=limits, everybody=everybody)


async def test_they_share_the_port_the_limits_the_keys_and_the_ledger(
    upstream: Scripted, tmp_path: Path
) -> None:
    async with served(
        tmp_path, *TWO, config=config(upstream, tmp_path, everybody='["140 requests/day"]'), environ=ENVIRON
    ) as gateway:
        clients = await crowd(gateway, 20)
        made = await admin(gateway, "POST", "/admin/v1/keys", {"name": "x", "limits": ["100 requests/day"]})
        # A key that was just made opens every worker, and is refused by every one when it is revoked.
        for client in clients:
            client.key = made["key"]
        racers = [client.ask(number) for number, client in enumerate(clients)]
        assert await asyncio.gather(*racers) == [200] * len(clients)
        raced = 100 + len(clients)
        left = 140 - 2 * len(clients)
        answers = [
            await asyncio.gather(*(client.ask(1000 + at + n) for n, client in enumerate(clients)))
            for at in range(0, raced, len(clients))
        ]
        statuses = [status for turn in answers for status in turn]
        assert statuses.count(200) == min(left, 100 - len(clients))
        assert set(statuses) == {200, 429}
        assert len({name for client in clients for name in client.answered}) == sum(
            len(client.answered) for client in clients
        )
        await admin(gateway, "DELETE", f"/admin/v1/keys/{made['id']}")
        assert set(await asyncio.gather(*(client.ask(5000) for client in clients))) == {401}
        (seen,) = (await admin(gateway, "GET", "/admin/v1/upstreams"))["data"]
        assert (seen["up"], seen["last_outcome"], seen["in_flight"]) == (True, "ok", 0)
        assert await gateway.metric("gateway_workers") == 2
        answered = [name for client in clients for name in client.answered]
        await until_answer(lambda: _missing(gateway, answered), 0)
        total = sum(
            value
            for name, value in (await counters(gateway)).items()
            if name.startswith("gateway_requests_total") and 'status="200"' in name
        )
        assert total == len(answered)
        for client in clients:
            await client.leave()


async def test_one_that_is_killed_is_missed_by_its_own_clients_alone(
    upstream: Scripted, tmp_path: Path
) -> None:
    """No counter goes back, no answered request is missing in the ledger, and no call of the upstream."""
    async with served(tmp_path, *TWO, config=config(upstream, tmp_path), environ=ENVIRON) as gateway:
        clients = await crowd(gateway, 16)
        over = asyncio.Event()
        loads = [asyncio.create_task(_ask_on(client, gateway, over)) for client in clients]
        scrapes = asyncio.create_task(_scrape_on(gateway, over))
        killed: dict[int, float] = {}
        for turn in range(KILLS):
            await asyncio.sleep(SECONDS_BETWEEN)
            victim = workers(gateway)[turn % len(workers(gateway))]
            killed[victim.pid] = time.monotonic()
            victim.kill()
            await replaced(gateway, victim)
        await until_answer(lambda: gateway.metric("gateway_workers"), 2)
        over.set()
        await asyncio.gather(*loads)
        assert await scrapes == []
        lost = [each for client in clients for each in client.lost]
        assert lost
        for worker, since, until in lost:
            times = killed.values() if worker == 0 else [killed[worker]]
            assert any(since <= at <= until for at in times)
        assert await gateway.metric("gateway_worker_restarts_total") == KILLS
        answered = [name for client in clients for name in client.answered]
        await until_answer(lambda: _missing(gateway, answered), 0)
        # What was under way in the killed ones is charged when its lease is over.
        await until_answer(lambda: _counts(gateway, lambda count: count >= upstream.calls), True)
        assert await gateway.stop() == 0


async def test_streams_are_finished_before_the_end(upstream: Scripted, tmp_path: Path) -> None:
    more = asyncio.Event()
    text = config(upstream, tmp_path)
    async with served(tmp_path, *TWO, config=text) as gateway, aiohttp.ClientSession() as session:
        upstream.plan(*[sse([DELTA, more, END])] * 8)
        headers = {"Authorization": f"Bearer {KEY}"}
        streams = [
            await session.post(
                gateway.url + "/v1/chat/completions",
                json=QUESTION | {"stream": True, "seed": number},
                headers=headers,
            )
            for number in range(8)
        ]
        for stream in streams:
            await stream.content.readuntil(b"\n\n")
        children = gateway.children()
        gateway.signal(signal.SIGTERM)
        await until_answer(lambda: _refused(gateway.port), True)
        more.set()
        for stream in streams:
            assert (await stream.content.read()).endswith(b"data: [DONE]\n\n")
        assert await gateway.ended() == 0
        await gone(children)
        assert "Traceback" not in gateway.output
        assert "another takes its place" not in gateway.output


async def test_a_second_signal_does_not_wait(upstream: Scripted, tmp_path: Path) -> None:
    async with (
        served(tmp_path, *TWO, config=config(upstream, tmp_path)) as gateway,
        aiohttp.ClientSession() as session,
    ):
        upstream.plan(sse([DELTA], end="hang"))
        async with session.post(
            gateway.url + "/v1/chat/completions",
            json=QUESTION | {"stream": True},
            headers={"Authorization": f"Bearer {KEY}"},
        ) as stream:
            await stream.content.readuntil(b"\n\n")
            gateway.signal(signal.SIGTERM)
            await until_answer(lambda: _refused(gateway.port), True)
            gateway.signal(signal.SIGTERM)
            assert b'"error"' in await stream.content.readuntil(b"\n\n")
        assert await gateway.ended() == 0


@pytest.mark.parametrize("who", ["supervisor", "nursery"])
async def test_nobody_outlives_the_supervisor(upstream: Scripted, tmp_path: Path, who: str) -> None:
    async with served(tmp_path, *TWO, config=config(upstream, tmp_path)) as gateway:
        children = gateway.children()
        assert len(children) == 4  # nursery, store, workers
        if who == "supervisor":
            gateway.signal(signal.SIGKILL)
        else:
            psutil.Process(workers(gateway)[0].ppid()).kill()
        assert await gateway.ended() != 0
        await gone(children)


async def test_the_port_is_no_other_gateways(upstream: Scripted, tmp_path: Path) -> None:
    """Not while the workers live, and not while all of them are dead."""
    text = config(upstream, tmp_path)
    async with served(tmp_path, *TWO, config=text) as gateway:
        environ = dict(ENVIRON) | {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"]}
        environ |= {"GATEWAY_SERVER__PORT": str(gateway.port), "GATEWAY_SERVER__DATA": str(tmp_path / "b")}
        environ |= {"GATEWAY_STORE__URL": f"embedded:{tmp_path / 'b'}"}
        for many in ("1", "2"):
            second = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve", "--workers", many),
                cwd=tmp_path,
                env=environ,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await second.communicate()
            assert second.returncode == 1
            assert f"cannot listen on 127.0.0.1:{gateway.port}" in said.decode()
        for worker in workers(gateway):
            worker.send_signal(signal.SIGSTOP)
            worker.kill()
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", gateway.port)).close()
        await until_answer(lambda: _status(gateway), 200)


async def _status(gateway: Served) -> int:
    try:
        return (await ask(gateway.url, QUESTION))[0]
    except aiohttp.ClientError:
        return 0


async def _ask_on(client: Client, gateway: Served, over: asyncio.Event) -> None:
    for number in itertools.count(id(client)):
        if over.is_set():
            break
        status = await client.ask(number)
        assert status in (200, None)
        if status == 200 and client.worker == 0:
            client.find_worker(workers(gateway))
        await asyncio.sleep(0.1 if PROOF else 0.01)
    await client.leave()


async def _scrape_on(gateway: Served, over: asyncio.Event) -> list[str]:
    """The series that have gone back from one scrape to the next."""
    back: list[str] = []
    before = await counters(gateway)
    while not over.is_set():
        after = await counters(gateway)
        back += gone_back(before, after)
        before = after
        await asyncio.sleep(0.05)
    return back


async def _missing(gateway: Served, ids: list[str]) -> int:
    """How many of these requests have no row."""
    return len(set(ids) - {row["id"] for row in await rows(gateway)})


async def _counts(gateway: Served, holds: Callable[[int], bool]) -> bool:
    asked = {row["id"] for row in await rows(gateway) if row["upstream"] is not None}
    return holds(len(asked))


async def _refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False
