"""Every way of being served or refused leaves one row, and all books say the same, to the nano-dollar.

Requests of all kinds are drawn at random and sent side by side; what each must leave in the ledger is known
beforehand. `GATEWAY_PROOF` sends thousands of them.
"""

import asyncio
import contextlib
import json
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.policy.ledger import Row, decode
from gateway.policy.records import Record
from gateway.store.base import Entered, Holds
from tests import scripted
from tests.books import agree, nano
from tests.running import ENVIRONMENT, KEY, Running, configuration, running
from tests.scripted import Answer, Scripted, Seen, Wire, close_now, raw, reset, sse
from tests.served import free_port
from tests.waiting import until

SEEDS = range(40) if os.environ.get("GATEWAY_PROOF") else range(2)
ROUNDS, AT_ONCE = 25, 8
MOST = 5_000  # tokens of output
CHAT = "/v1/chat/completions"
MODEL = "gpt-4o-mini"
COMPLETES = "gpt-3.5-turbo-instruct"  # at the prices of the other
INPUT, CACHED, OUTPUT = 150, 75, 600  # nano-dollars per token of gpt-4o-mini

KEYS = {
    "test": KEY,
    "free": "sk-gw-free-0123456789abcdef",
    "broke": "sk-gw-broke-0123456789abcdef",
    "shadow": "sk-gw-shadow-0123456789abcdef",
    "narrow": "sk-gw-narrow-0123456789abcdef",
    "busy": "sk-gw-busy-0123456789abcdef",
}
LIMITS = '["$1000/total", "10M requests/total", "900M tokens/total", "50 concurrent", "1M requests/minute"]'

EVERYBODY = '["$100000/total on gpt-*, text-*", "100M requests/total", "5M tokens/day on in-house*"]'


def toml(down: int, slow: str) -> str:
    """Upstreams that are down, or slow; teams and keys that are rich, broke or watched."""
    return f"""
[[keys]]
name = "free"
secret = "env:FREE"
[[keys]]
name = "broke"
team = "research"
secret = "env:BROKE"
limits = ["$0.000001/total", "1M requests/total"]
[[keys]]
name = "shadow"
team = "other"
secret = "env:SHADOW"
limits = [{{ limit = "$0.000001/total", mode = "shadow" }}, {{ limit = "1 requests/total", mode = "shadow" }}]
tags = {{ site = "north" }}
[[keys]]
name = "narrow"
secret = "env:NARROW"
models = ["none-*"]
[[keys]]
name = "busy"
secret = "env:BUSY"
limits = ["1 requests/total", "1 tokens/day"]
[[teams]]
name = "other"
limits = ["$100/total"]
[[upstreams]]
name = "down"
base_url = "http://127.0.0.1:{down}/v1"
models = ["down-*"]
[[upstreams]]
name = "slow"
base_url = "{slow}"
models = ["slow-*"]
first_byte_timeout = "300ms"
[prices.models."slow-*"]
input = 1
output = 2
[prices.models."{COMPLETES}"]
input = 0.15
cached_input = 0.075
output = 0.6
"""


class Mixture(Scripted):
    """An upstream that does as the `script` in a request's body says."""

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.seen: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.plan(Answer(self._send))

    async def _send(self, seen: Seen, wire: Wire) -> None:
        script = seen.json().get("script") if seen.body else None
        if script is None:
            await scripted.openai().send(seen, wire)
            return
        self.seen[script["case"]].set()
        if script.get("wait"):
            await self.events[script["case"]].wait()
        await ANSWERS[script["kind"]](script).send(seen, wire)


def usage_of(script: dict[str, Any]) -> dict[str, Any]:
    into, out, cached = script["usage"]
    return {
        "prompt_tokens": into,
        "completion_tokens": out,
        "total_tokens": into + out,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": out // 2},
    }


def delta(text: str, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def stream(script: dict[str, Any], *, usage: bool = True, end: scripted.End = "done") -> Answer:
    last = [{"id": "c", "choices": [], "usage": usage_of(script)}] if usage else []
    return sse([delta("one"), delta(" two"), delta("", "stop"), *last], end=end)


def failure(script: dict[str, Any]) -> Answer:
    return scripted.json(script["status"], {"error": {"message": "no", "type": "t", "code": None}})


ANSWERS: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "plain": lambda script: scripted.chat(usage=usage_of(script)),
    "unsaid": lambda script: scripted.chat(usage=None),
    "stream": stream,
    "unsaid stream": lambda script: stream(script, usage=False),
    "status": failure,
    "close": lambda script: close_now,
    "reset": lambda script: reset,
    "malformed": lambda script: scripted.json(200, b'{"choices": '),
    "page": lambda script: scripted.json(200, b"<html>", [("Content-Type", "text/html")]),
    "short": lambda script: raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", end="close"),
    "cut": lambda script: sse([delta("one"), delta(" two")], end="cut"),
    "broken": lambda script: sse([delta("one"), delta(" two")], end="reset"),
    "error event": lambda script: sse([delta("one"), {"error": {"message": "overloaded"}}], end="clean"),
    "silence": lambda script: raw(asyncio.Event()),
    "begun": lambda script: sse([delta("one"), delta(" two"), asyncio.Event()]),
}


@dataclass
class Expected:
    """What a case must leave: the values of a row's fields, or what they must satisfy."""

    fields: dict[str, Any] = field(default_factory=dict)
    rows: int = 1


def usage_fields(usage: tuple[int, int, int]) -> dict[str, Any]:
    into, out, cached = usage
    cost = (into - cached) * INPUT + cached * CACHED + out * OUTPUT
    return {
        "settled": "usage",
        "input": into,
        "output": out,
        "cached": cached,
        "reasoning": out // 2,
        "cost": cost,
        "status": 200,
        "error": None,
        "sent": MODEL,
        "upstream": "scripted",
        "saved": 0,
    }


NOTHING = {"settled": "none", "input": 0, "output": 0, "cost": 0, "saved": 0}
INPUT_ONLY = {"settled": "estimate", "output": 0, "input": lambda into: into > 0}
COUNTED = {"settled": "estimate", "output": lambda out: out > 0, "input": lambda into: into > 0}


class Clients:
    """Who sends the cases, and what each of them must leave behind."""

    def __init__(self, gateway: Running, upstream: Mixture, dice: random.Random) -> None:
        self.gateway, self.upstream, self.dice = gateway, upstream, dice
        self.expected: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.joining = 0
        self._number = 0
        self.kinds = [getattr(self, name) for name in dir(self) if name.startswith("case_")]

    async def any_case(self) -> None:
        await self.dice.choice(self.kinds)()

    def script(self, kind: str, **more: Any) -> dict[str, Any]:
        self._number += 1
        words, out = self.dice.randrange(1, 200), self.dice.randrange(0, MOST)
        return {
            "case": f"{self._number}",
            "kind": kind,
            "usage": (words, out, self.dice.randrange(words)),
            **more,
        }

    def body(self, script: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A question of at least as many tokens as the upstream will say."""
        said = [{"role": "user", "content": " lamp" * script["usage"][0]}]
        return {"model": MODEL, "messages": said, "max_tokens": MOST, "script": script} | more

    def expect(self, case: str, *fields: dict[str, Any], **more: Any) -> None:
        merged: dict[str, Any] = {}
        for each in (*fields, more):
            merged |= each
        self.expected[case].append(merged)

    async def ask(
        self, case: str, body: Any, path: str = CHAT, key: str = "test", **headers: str
    ) -> tuple[int, Any]:
        """Status and headers; the body is read, as far as there is one."""
        tags = {"x_gateway_tags": f"case={case}"} | headers
        async with self.gateway.post(path, body, key=KEYS[key], **tags) as answer:
            with contextlib.suppress(aiohttp.ClientPayloadError):
                await answer.read()
            return answer.status, answer.headers

    async def leave(self, script: dict[str, Any], body: dict[str, Any]) -> None:
        """Ask, and hang up when the upstream has the question."""
        asking = asyncio.create_task(self.ask(script["case"], body))
        await self.upstream.seen[script["case"]].wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    # ---- served ----

    async def case_plain(self) -> None:
        script = self.script("plain")
        key = self.dice.choice(["test", "free", "shadow"])
        status, headers = await self.ask(script["case"], self.body(script), key=key)
        fields = usage_fields(script["usage"])
        self.expect(script["case"], fields, key=key, cache="miss", endpoint="chat.completions", model=MODEL)
        assert (status, nano_of(headers)) == (200, fields["cost"])

    async def case_stream(self) -> None:
        script = self.script("stream")
        body = self.body(script, stream=True)
        if self.dice.random() < 0.5:
            body["stream_options"] = {"include_usage": True}
        status, headers = await self.ask(script["case"], body)
        self.expect(
            script["case"], usage_fields(script["usage"]), cache="miss", first_token=lambda ms: ms >= 0
        )
        assert (status, "x-gateway-cost" in headers) == (200, False)

    async def case_usage_unsaid(self) -> None:
        script = self.script(self.dice.choice(["unsaid", "unsaid stream"]))
        await self.ask(script["case"], self.body(script, stream="stream" in script["kind"]))
        self.expect(script["case"], COUNTED, status=200)

    async def case_bypass(self) -> None:
        script = self.script("plain")
        for _ in range(2):
            await self.ask(script["case"], self.body(script), x_gateway_cache="bypass")
            self.expect(script["case"], usage_fields(script["usage"]), cache="bypass")

    async def case_hit_and_refresh(self) -> None:
        script = self.script("plain")
        paid = usage_fields(script["usage"])
        await self.ask(script["case"], self.body(script))
        self.expect(script["case"], paid, cache="miss")
        status, headers = await self.ask(script["case"], self.body(script))
        hit = NOTHING | {"saved": paid["cost"], "upstream": "cache", "status": 200}
        self.expect(script["case"], hit, cache="hit", sent=MODEL)
        assert (status, headers["x-gateway-cost"], headers["x-gateway-cache"]) == (200, "0", "hit")
        await self.ask(script["case"], self.body(script), x_gateway_cache="refresh")
        self.expect(script["case"], paid, cache="miss")

    async def case_hit_as_a_stream(self) -> None:
        script = self.script("stream")
        paid = usage_fields(script["usage"])
        await self.ask(script["case"], self.body(script, stream=True))
        self.expect(script["case"], paid, cache="miss")
        await self.ask(script["case"], self.body(script))
        self.expect(script["case"], NOTHING, saved=paid["cost"], cache="hit", status=200)

    async def case_joined(self) -> None:
        script = self.script(self.dice.choice(["plain", "stream"]), wait=True)
        body = self.body(script, stream=script["kind"] == "stream")
        first = asyncio.create_task(self.ask(script["case"], body))
        await self.upstream.seen[script["case"]].wait()
        self.joining += 1
        second = asyncio.create_task(self.ask(script["case"], body))
        flights = self.gateway.gateway.flights._flights
        # Several such cases may be under way: all have joined when each has a flight with two readers.
        await until(lambda: sum(each.readers >= 2 for each in flights.values()) >= self.joining)
        self.upstream.events[script["case"]].set()
        await asyncio.gather(first, second)
        self.joining -= 1
        paid = usage_fields(script["usage"])
        self.expect(script["case"], paid, cache="miss")
        late = lambda cache: cache in ("joined", "hit")  # noqa: E731
        self.expect(script["case"], NOTHING, saved=paid["cost"], cache=late, status=200)

    async def case_embeddings(self) -> None:
        case = self.script("")["case"]
        given = ["antidisestablishmentarianism", "floccinaucinihilipilification"]
        body = {"model": "text-embedding-3-small", "input": given, "user": case}
        status, headers = await self.ask(case, body, "/v1/embeddings", x_gateway_cache="bypass")
        self.expect(case, settled="usage", input=5, output=0, cost=5 * 20, endpoint="embeddings", status=200)
        assert (status, nano_of(headers)) == (200, 100)

    async def case_moderations(self) -> None:
        case = self.script("")["case"]
        await self.ask(case, {"input": f"a {case}"}, "/v1/moderations")
        self.expect(case, INPUT_ONLY, cost=0, endpoint="moderations", status=200, upstream="scripted")

    async def case_responses(self) -> None:
        case = self.script("")["case"]
        body = {"model": MODEL, "input": "hi there", "stream": self.dice.random() < 0.5}
        await self.ask(case, body, "/v1/responses")
        self.expect(case, settled="usage", input=5, output=5, cost=5 * INPUT + 5 * OUTPUT, status=200)

    async def case_completions(self) -> None:
        script = self.script("plain")
        prompts = [" lamp" * script["usage"][0], "b"]
        body = {
            "model": COMPLETES,
            "prompt": prompts,
            "n": 2,
            "best_of": 3,
            "script": script,
            "max_tokens": MOST,
        }
        await self.ask(script["case"], body, "/v1/completions")
        self.expect(script["case"], usage_fields(script["usage"]), endpoint="completions", sent=COMPLETES)

    async def case_unpriced(self) -> None:
        script = self.script("plain")
        into, out, _ = script["usage"]
        body = self.body(script, model=f"in-house-{script['case']}")
        await self.ask(script["case"], body, key="free")
        self.expect(script["case"], status=200, cost=None, settled="usage", input=into, output=out)

    async def case_shadowed(self) -> None:
        script = self.script("plain")
        await self.ask(script["case"], self.body(script, max_tokens=None), key="shadow")
        named = lambda names: "$0.000001/total" in names  # noqa: E731
        tags = {"case": script["case"], "site": "north"}
        self.expect(script["case"], usage_fields(script["usage"]), shadow=named, tags=tags)

    async def case_models(self) -> None:
        headers = {
            "Authorization": f"Bearer {KEY}",
            "x-gateway-tags": f"case={(case := self.script('')['case'])}",
        }
        path = self.dice.choice(["/v1/models", f"/v1/models/{MODEL}"])
        async with self.gateway.session.get(self.gateway.url + path, headers=headers) as answer:
            assert "x-gateway-cost" not in answer.headers
        model = MODEL if path.endswith(MODEL) else None
        self.expect(case, NOTHING, status=200, upstream="scripted", model=model, sent=model)

    # ---- refused ----

    async def case_bad_request(self) -> None:
        case = self.script("")["case"]
        bodies: list[Any] = [
            b'{"model": ',
            {"model": MODEL, "messages": [], "max_tokens": -1},
            {"messages": []},
        ]
        status, headers = await self.ask(case, self.dice.choice(bodies))
        self.expect(case, NOTHING, status=400, error=headers["x-gateway-error"], upstream=None)
        assert status == 400

    async def case_forbidden_model(self) -> None:
        script = self.script("plain")
        await self.ask(script["case"], self.body(script), key="narrow")
        self.expect(script["case"], NOTHING, status=403, error="model_not_allowed", model=MODEL, sent=None)

    async def case_no_such_model(self) -> None:
        script = self.script("plain")
        await self.ask(script["case"], self.body(script, model=f"none-{script['case']}"), key="narrow")
        self.expect(script["case"], NOTHING, status=404, error="model_not_found", upstream=None)

    async def case_insufficient_quota(self) -> None:
        script = self.script("plain")
        status, headers = await self.ask(script["case"], self.body(script), key="broke")
        self.expect(script["case"], NOTHING, status=429, error="insufficient_quota", upstream=None)
        assert (status, headers["x-should-retry"], "x-gateway-cost" in headers) == (429, "false", False)

    async def case_unpriced_where_money_counts(self) -> None:
        script = self.script("plain")
        await self.ask(script["case"], self.body(script, model="in-house"), key="test")
        self.expect(script["case"], NOTHING, status=400, error="model_not_priced", upstream=None)

    async def case_never_fits(self) -> None:
        script = self.script("plain")
        await self.ask(script["case"], self.body(script), key="busy")
        self.expect(script["case"], NOTHING, status=429, error="insufficient_quota")

    async def case_stranger(self) -> None:
        script = self.script("plain")
        async with self.gateway.post(CHAT, self.body(script), key="sk-gw-who") as answer:
            assert answer.status == 401

    # ---- upstreams that fail ----

    async def case_upstream_refuses(self) -> None:
        status = self.dice.choice([400, 404, 429, 500, 503])
        script = self.script("status", status=status)
        body = self.body(script, stream=self.dice.random() < 0.5)
        told, headers = await self.ask(script["case"], body)
        self.expect(script["case"], NOTHING, status=status, error=None, upstream="scripted", cache="miss")
        assert (told, headers["x-gateway-cost"]) == (status, "0")

    async def case_upstream_refuses_us(self) -> None:
        script = self.script("status", status=401)
        await self.ask(script["case"], self.body(script))
        self.expect(script["case"], NOTHING, status=502, error="upstream_auth", upstream="scripted")

    async def case_unreachable(self) -> None:
        script = self.script("plain")
        await self.ask(script["case"], self.body(script, model="down-1"), key="free")
        self.expect(script["case"], NOTHING, status=502, error="upstream_unreachable", upstream="down")

    async def case_too_slow(self) -> None:
        script = self.script("silence")
        await self.ask(script["case"], self.body(script, model="slow-1"))
        self.expect(script["case"], INPUT_ONLY, status=504, error="upstream_timeout", upstream="slow")

    async def case_no_answer(self) -> None:
        kind = self.dice.choice(["close", "reset", "page", "malformed", "short"])
        script = self.script(kind)
        await self.ask(script["case"], self.body(script))
        self.expect(
            script["case"], INPUT_ONLY, status=502, error="upstream_protocol_error", upstream="scripted"
        )

    async def case_broken_stream(self) -> None:
        script = self.script(self.dice.choice(["cut", "broken"]))
        await self.ask(script["case"], self.body(script, stream=True))
        self.expect(script["case"], COUNTED, status=200, error="upstream_protocol_error")

    async def case_error_event(self) -> None:
        script = self.script("error event")
        await self.ask(script["case"], self.body(script, stream=True))
        self.expect(script["case"], COUNTED, status=200, error=None)

    # ---- clients that leave ----

    async def case_gone_before_the_answer(self) -> None:
        script = self.script("silence")
        await self.leave(script, self.body(script, stream=self.dice.random() < 0.5))
        self.expect(script["case"], INPUT_ONLY, status=499, error=None, upstream="scripted")

    async def case_gone_in_the_stream(self) -> None:
        script = self.script("begun")
        headers = {"Authorization": f"Bearer {KEY}", "x-gateway-tags": f"case={script['case']}"}
        url, body = self.gateway.url + CHAT, self.body(script, stream=True)
        answer = await self.gateway.session.post(url, json=body, headers=headers)
        await answer.content.readuntil(b"\n\n")
        answer.close()
        self.expect(script["case"], COUNTED, status=200, error=None, cache="miss")


class Told:
    """The store's holds, and what they were told of each request when it was dispatched."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self.leases: list[Row] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._holds, name)

    def dispatch(self, shard: str, hold: str, now: int, lease: int, record: Record | None = None) -> None:
        assert record is not None
        self.leases.append(decode(record.row))
        self._holds.dispatch(shard, hold, now, lease, record)

    async def enter(self, *asked: Any, record: Record | None = None, **more: Any) -> Entered:
        assert record is not None
        entered = await self._holds.enter(*asked, record=record, **more)
        if entered.reserved is not None and entered.reserved.admitted:
            self.leases.append(decode(record.row))
        return entered


def nano_of(headers: Any) -> int:
    whole, _, fraction = headers["x-gateway-cost"].partition(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))


@pytest.fixture
async def mixture() -> AsyncIterator[Mixture]:
    async with Mixture() as upstream:
        yield upstream


@pytest.fixture
async def gateway(mixture: Mixture, tmp_path: Path) -> AsyncIterator[Running]:
    text = configuration(
        mixture.base_url,
        tmp_path / "data",
        toml(free_port(), mixture.base_url),
        limits=LIMITS,
        everybody=EVERYBODY,
    )
    text = text.replace('"env:REAL"', '"env:REAL"\nmodels = ["gpt-*", "text-*", "omni-*", "in-house*"]', 1)
    secrets = {name.upper(): key for name, key in KEYS.items() if name != "test"}
    async with running(text, tmp_path, dict(ENVIRONMENT) | secrets) as opened:
        yield opened


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_every_request_leaves_one_row_and_all_books_agree(
    gateway: Running, mixture: Mixture, seed: int
) -> None:
    clients = Clients(gateway, mixture, random.Random(seed))
    told = gateway.gateway.holds = Told(gateway.gateway.holds)
    for kind in clients.kinds:
        await kind()
    for _ in range(ROUNDS):
        await asyncio.gather(*(clients.any_case() for _ in range(AT_ONCE)))
    written = await agree(gateway, gateway.gateway.clients.everybody())
    complaints = "\n".join(missed(clients.expected, written))
    assert not complaints, complaints
    assert await nano(gateway, "gateway_overrun_dollars_total") == 0
    heard = {row.id: row for row in written}
    assert len(told.leases) > ROUNDS
    for lease in told.leases:
        row = heard[lease.id]
        assert lease.settled == "lease"
        assert (lease.cost or 0) >= (row.cost or 0), (lease, row)
        assert lease.input >= row.input, (lease, row)
        assert lease.output >= row.output, (lease, row)


def missed(expected: dict[str, list[dict[str, Any]]], written: list[Row]) -> Iterator[str]:
    """Where the rows are not those that the cases must have left."""
    by_case: dict[str, list[Row]] = defaultdict(list)
    for row in written:
        by_case[row.tags.get("case", "-")].append(row)
    for case, fields in expected.items():
        found = sorted(by_case.pop(case, []), key=lambda row: row.time)
        if len(found) != len(fields):
            yield f"case {case}: {len(found)} rows, not {len(fields)}: {found}"
            continue
        for row, wanted in zip(found, fields, strict=True):
            wrong = {name: getattr(row, name) for name, value in wanted.items() if not fits(row, name, value)}
            if wrong:
                yield f"case {case}: {wrong}, not {wanted} ({row})"
    yield from (f"nobody expected {row}" for rows in by_case.values() for row in rows)


def fits(row: Row, name: str, wanted: Any) -> bool:
    value = getattr(row, name)
    return bool(wanted(value)) if callable(wanted) else bool(value == wanted)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_whoever_leaves_at_any_moment_leaves_one_row(
    gateway: Running, mixture: Mixture, seed: int
) -> None:
    dice = random.Random(seed)
    for number in range(ROUNDS):
        await asyncio.gather(*(_leave_somewhere(gateway, dice, number) for _ in range(AT_ONCE)))
    await until(lambda: not gateway.gateway.serving)
    written = await agree(gateway, gateway.gateway.clients.everybody())
    statuses = {row.status for row in written}
    assert len(written) > ROUNDS
    assert 499 in statuses


async def _leave_somewhere(gateway: Running, dice: random.Random, number: int) -> None:
    """Hang up after some of the question, or of the answer, at a moment that is drawn."""
    key = KEYS[dice.choice(["test", "free", "broke", "shadow"])]
    kind = dice.choice(["plain", "stream", "silence", "begun", "status", "close"])
    script = {"case": f"{number % 3}", "kind": kind, "usage": (3, 5, 1), "status": 503}
    # The same questions again and again: some are hits, some join, and those whom they joined leave.
    body = {"model": MODEL, "max_tokens": 99, "messages": [{"role": "user", "content": "lamp " * 9}]}
    data = json.dumps(body | {"script": script, "stream": dice.random() < 0.5}).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(data)}\r\n"
    )
    sent = head.encode() + b"Content-Type: application/json\r\n\r\n" + data
    part = len(sent) if dice.random() < 0.8 else dice.randrange(len(sent))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.app.listeners.public_port)
    writer.write(sent[:part])
    for _ in range(dice.randrange(60)):
        await asyncio.sleep(0)
    if dice.random() < 0.3:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await reader.read(dice.randrange(1, 400))
    writer.transport.abort()
