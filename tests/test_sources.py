"""Where an answer's bytes come from, and what closing lets go of."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.exchange import Outbound
from gateway.incoming import Incoming
from gateway.policy.endpoints import find
from gateway.policy.records import Usage
from gateway.settings import Upstream
from gateway.sources import Direct, Stored
from gateway.upstream.transport import Transport
from tests.scripted import Scripted, sse
from tests.waiting import PATIENCE

ENDPOINT, _ = find("POST", "/v1/chat/completions")
OUTBOUND = Outbound("POST", "/chat/completions", (("content-type", "application/json"),), b'{"model":"m"}')
DELTA = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}], "usage": None}
FINISHED = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None}
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}


async def test_a_stored_answer_is_its_chunks() -> None:
    stored = Stored(200, [("content-type", "text/event-stream")], [b"a", b"b"], None)
    assert [piece async for piece in stored.pieces()] == [b"a", b"b"]
    stored.close()


@pytest.fixture
async def transport(upstream: Scripted) -> AsyncIterator[Transport]:
    made = Transport([Upstream(name="up", base_url=upstream.base_url)], {}, lambda name, outcome: None)
    await made.start()
    yield made
    await made.close()


async def read_by_one_who_leaves(transport: Transport, last: bytes) -> Direct:
    """A client reads until this has come, waits for more, and hangs up."""
    answer = Incoming(ENDPOINT, await transport.open("up", OUTBOUND), max_answer=2**20, max_entry=2**20)
    await answer.begin(asked_for_stream=True)
    source = Direct(answer, show_extra=False)
    pieces = source.pieces()
    async with asyncio.timeout(PATIENCE):
        while last not in await anext(pieces):
            pass
    waiting = asyncio.create_task(anext(pieces))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    source.close()
    return source


async def test_who_leaves_after_the_end_of_the_text_is_charged_exactly(
    upstream: Scripted, transport: Transport
) -> None:
    go_on = asyncio.Event()
    upstream.plan(sse([FINISHED, go_on, USAGE]))
    source = await read_by_one_who_leaves(transport, b'"stop"')
    go_on.set()
    await source.incoming.finish(PATIENCE)
    assert source.incoming.usage == Usage(3, 4)
    assert upstream.hangups == 0


async def test_who_leaves_in_the_middle_hangs_up_at_once(upstream: Scripted, transport: Transport) -> None:
    upstream.plan(sse([DELTA], end="hang"))
    source = await read_by_one_who_leaves(transport, b'"a"')
    await upstream.disconnected()
    assert (source.incoming.usage, source.incoming.output_texts) == (None, ["a"])


async def test_a_silent_upstream_is_waited_for_no_longer_than_said(
    upstream: Scripted, transport: Transport
) -> None:
    upstream.plan(sse([DELTA, FINISHED], end="hang"))
    source = await read_by_one_who_leaves(transport, b'"stop"')
    assert source.incoming.owes_usage
    await source.incoming.finish(0.001)
    await upstream.disconnected()
    assert source.incoming.usage is None
