"""An upstream that knows what it has billed: an OpenAI-shaped server that keeps the usage of every answer.

What an answer uses is drawn from its request's `user`, so that the books can be checked line by line.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any

from aiohttp import web

MODEL, EMBEDDING = "gpt-4o-mini", "text-embedding-3-small"
# Dollars per million tokens, from OpenAI's price page: what goes in, what of it was cached, what comes out.
_PRICES = {
    MODEL: (Fraction("0.15"), Fraction("0.075"), Fraction("0.6")),
    EMBEDDING: (Fraction("0.02"), Fraction("0.02"), Fraction(0)),
}
_NANO_PER_MILLION = 1000  # a dollar per million tokens is a thousand nano-dollars per token


@dataclass(frozen=True, slots=True)
class Bill:
    """What one answer used."""

    model: str
    input: int
    cached: int
    output: int

    @property
    def nano(self) -> int:
        """Its price in nano-dollars, rounded up once."""
        fresh, cached, out = _PRICES[self.model]
        whole = (self.input - self.cached) * fresh + self.cached * cached + self.output * out
        return ceil(whole * _NANO_PER_MILLION)


@dataclass(slots=True)
class Books:
    """`sent` are the answers whose last byte was handed to the network, by `user`; `calls` all that began."""

    sent: dict[str, Bill] = field(default_factory=dict)
    calls: int = 0


def bill_of(user: str, model: str, most: int) -> Bill:
    """The same for the same user, always."""
    draw = random.Random(user)
    tokens = draw.randint(1, 3000)
    output = 0 if model == EMBEDDING else draw.randint(1, most)
    return Bill(model, tokens, 0 if model == EMBEDDING else draw.randint(0, tokens), output)


@asynccontextmanager
async def billing(books: Books) -> AsyncIterator[int]:
    """Serve on a free port of 127.0.0.1 while the context is; yields the port."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", lambda request: _chat(request, books))
    app.router.add_post("/v1/embeddings", lambda request: _embed(request, books))
    app.router.add_post("/v1/responses", lambda request: _respond(request, books))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def _chat(request: web.Request, books: Books) -> web.StreamResponse:
    asked = await _asked(request, books)
    user, bill = asked["user"], bill_of(asked["user"], asked["model"], asked["max_tokens"])
    usage = {
        "prompt_tokens": bill.input,
        "completion_tokens": bill.output,
        "total_tokens": bill.input + bill.output,
        "prompt_tokens_details": {"cached_tokens": bill.cached},
    }
    base = {"id": f"chatcmpl-{user}", "created": 1, "model": asked["model"]}
    if not asked.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}
        whole = base | {"object": "chat.completion", "choices": [choice], "usage": usage}
        return await _plain(request, whole, user, bill, books)
    events = [_delta(base, {"content": " lamps"}, None)] * random.Random(user).randint(2, 25)
    events += [_delta(base, {}, "stop"), base | {"choices": [], "usage": usage}]
    lines = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return await _stream(request, [*lines, b"data: [DONE]\n\n"], user, bill, books)


def _delta(base: dict[str, Any], delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return base | {"object": "chat.completion.chunk", "choices": [choice]}


async def _embed(request: web.Request, books: Books) -> web.StreamResponse:
    asked = await _asked(request, books)
    bill = bill_of(asked["user"], asked["model"], 0)
    data = [{"object": "embedding", "index": 0, "embedding": [0.5] * 8}]
    usage = {"prompt_tokens": bill.input, "total_tokens": bill.input}
    whole = {"object": "list", "data": data, "model": asked["model"], "usage": usage}
    return await _plain(request, whole, asked["user"], bill, books)


async def _respond(request: web.Request, books: Books) -> web.StreamResponse:
    asked = await _asked(request, books)
    user, bill = asked["user"], bill_of(asked["user"], asked["model"], asked["max_output_tokens"])
    usage = {
        "input_tokens": bill.input,
        "input_tokens_details": {"cached_tokens": bill.cached},
        "output_tokens": bill.output,
        "total_tokens": bill.input + bill.output,
    }
    whole = {"id": f"resp_{user}", "object": "response", "status": "completed", "output": [], "usage": usage}
    events: list[dict[str, Any]] = [{"type": "response.output_text.delta", "delta": " lamps"}] * 5
    events.append({"type": "response.completed", "response": whole})
    lines = [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events]
    return await _stream(request, lines, user, bill, books)


async def _asked(request: web.Request, books: Books) -> dict[str, Any]:
    books.calls += 1
    asked: dict[str, Any] = await request.json()
    await asyncio.sleep(random.uniform(0, 0.02))
    return asked


async def _plain(
    request: web.Request, whole: dict[str, Any], user: str, bill: Bill, books: Books
) -> web.StreamResponse:
    answer = web.json_response(whole)
    with contextlib.suppress(ConnectionError):
        await answer.prepare(request)
        await answer.write_eof()
        books.sent[user] = bill
    return answer


async def _stream(
    request: web.Request, lines: list[bytes], user: str, bill: Bill, books: Books
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    with contextlib.suppress(ConnectionError):  # whoever asked has left
        await answer.prepare(request)
        for line in lines[:-1]:
            await answer.write(line)
            await asyncio.sleep(random.uniform(0, 0.01))
        await answer.write(lines[-1])
        books.sent[user] = bill
        await answer.write_eof()
    return answer
