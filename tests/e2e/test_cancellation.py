"""Clients leave at any instant: nothing stays behind, and the counters say what the sum of the log says."""

import asyncio
import collections
import json
import logging
import os
import random
from typing import Any

import pytest

from gateway.pipeline import DRAINED
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import PATIENCE, Answer, Scripted, Seen, Wire, chat, close_now, openai, sse
from tests.scripted import json as plain
from tests.waiting import until

CHAT = "/v1/chat/completions"
CANCELS = 10_000 if os.environ.get("GATEWAY_PROOF") else 1000
AT_ONCE = 25
LIMITS = '["1M requests/day", "1000M tokens/day", "100 concurrent"]'
DELTA = {"id": "c", "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}


async def _mixed(seen: Seen, wire: Wire) -> None:
    """What an upstream may do, each question with a manner of its own, some of them slow."""
    body = seen.json()
    manner = body["seed"] % 6
    for _ in range(body["seed"] * 3):
        await asyncio.sleep(0)
    answers = {
        1: plain(503, {"error": {"message": "busy"}}),
        2: close_now,
        3: sse([DELTA] * 20, end="cut") if body.get("stream") else chat("cut"),
    }
    await answers.get(manner, openai()).send(seen, wire)


class Client:
    """One request on a connection of its own, given up after some ticks of the loop."""

    def __init__(self, gateway: Running, chance: random.Random) -> None:
        self._gateway = gateway
        self._chance = chance

    async def ask(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._gateway.app.listeners.public_port)
        writer.write(self._request())
        for _ in range(self._chance.randrange(150)):
            await asyncio.sleep(0)
        serving = sorted(self._gateway.gateway.serving, key=id)
        if serving and self._chance.random() < 0.1:
            self._chance.choice(serving).cancel(DRAINED)
            await reader.read(1)
        writer.transport.abort()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    def _request(self) -> bytes:
        chance = self._chance
        body: dict[str, Any] = {"model": "gpt-4o-mini", "seed": chance.randrange(12), "max_tokens": 50}
        body["messages"] = [{"role": "user", "content": "hi there"}]
        if chance.random() < 0.5:
            body["stream"] = True
        data = json.dumps(body).encode()
        wish = chance.choice(["use", "use", "refresh", "bypass"])
        lines = [
            f"POST {CHAT} HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {KEY}",
            f"x-gateway-cache: {wish}",
        ]
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}", "", ""]
        return "\r\n".join(lines).encode() + data


async def test_a_thousand_leave_at_any_instant_and_nothing_stays_behind(
    start: Start, upstream: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start(limits=LIMITS)
    caplog.set_level(logging.INFO, "gateway.access")
    upstream.plan(Answer(_mixed))
    chance = random.Random(20261122)
    await _leave_at_random(gateway, chance, AT_ONCE)
    before = Leftovers(gateway, upstream)
    await _leave_at_random(gateway, chance, CANCELS)
    await until(lambda: Leftovers(gateway, upstream).beyond(before) == [])

    lines = [vars(record)["line"] for record in caplog.records if record.name == "gateway.access"]
    charged = [line for line in lines if line["upstream"] is not None]
    paid = [line for line in charged if line["cache"] not in ("hit", "joined")]
    tokens = sum((line["input_tokens"] or 0) + (line["output_tokens"] or 0) for line in paid)
    assert await _used(gateway) == [len(charged), tokens, 0]
    assert await _counted_tokens(gateway) == tokens
    assert upstream.calls <= len(paid)
    seen = collections.Counter((line["outcome"], line["cache"]) for line in lines)
    assert {cache for _, cache in seen} == {"hit", "miss", "joined", "bypass"}, seen
    assert {"client_gone", "complete"} <= {outcome for outcome, _ in seen}
    # Every hold has ended: in a month there is none whose lease could run out.
    assert await gateway.gateway.holds.expire(gateway.gateway.clock.now() + 30 * 86_400_000) == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_whenever_the_first_leaves_the_others_get_their_answer(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits=LIMITS)
    for ticks in range(80):
        question = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"after {ticks}"}]}
        first = asyncio.create_task(_ask(gateway, question))
        for _ in range(ticks // 2):
            await asyncio.sleep(0)
        others = [
            asyncio.create_task(_ask(gateway, question | {"stream": stream})) for stream in (True, False)
        ]
        for _ in range(ticks):
            await asyncio.sleep(0)
        first.cancel()
        async with asyncio.timeout(PATIENCE):
            assert await asyncio.gather(*others) == [200, 200]
    await _quiet(gateway)
    assert (await _used(gateway))[2] == 0


class Leftovers:
    """What a request may leave behind in the process, less what idle upstream connections take by right."""

    def __init__(self, gateway: Running, upstream: Scripted) -> None:
        names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
        self.tasks = collections.Counter(name for name in names if "_Connection._serve" not in name)
        self.files = len(os.listdir("/proc/self/fd")) - 2 * upstream.open_connections
        app = gateway.gateway
        self.line = (len(app.serving), len(app.flights), len(app.tasks), len(app.open_holds))
        self.calls = [status["in_flight"] for status in app.upstreams.status()]

    def beyond(self, before: "Leftovers") -> list[object]:
        """What is left now and was not there before; in words, for whoever reads the failure."""
        more: list[object] = [*(self.tasks - before.tasks)]
        if self.files > before.files:
            more.append(f"{self.files - before.files} open files")
        return more + [part for part in (self.line, self.calls) if any(part)]


async def _leave_at_random(gateway: Running, chance: random.Random, count: int) -> None:
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(Client(gateway, chance).ask() for _ in range(AT_ONCE)))
    await _quiet(gateway)


async def _quiet(gateway: Running) -> None:
    await until(lambda: not gateway.gateway.serving)
    async with asyncio.timeout(PATIENCE):
        await gateway.concluded()


async def _ask(gateway: Running, question: dict[str, Any]) -> int:
    async with gateway.post(CHAT, question) as answer:
        await answer.read()
        return int(answer.status)


async def _used(gateway: Running) -> list[int]:
    """Requests, tokens, slots."""
    client = gateway.gateway.clients.client("test")
    assert client is not None
    now = gateway.gateway.clock.now()
    return [s.used for s in await gateway.gateway.holds.standings(client.shard, client.limits, now)]


async def _counted_tokens(gateway: Running) -> int:
    lines = (await gateway.metrics()).splitlines()
    wanted = [line for line in lines if line.startswith("gateway_tokens_total{")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in wanted if 'put"' in line)
