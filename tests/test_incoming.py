"""An answer is read once, metered as it passes, and offered to the cache before its end is shown."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamProtocolError
from gateway.exchange import Reply
from gateway.incoming import Incoming
from gateway.policy.endpoints import find
from gateway.policy.records import Usage
from tests.scripted import dump
from tests.waiting import PATIENCE

ENDPOINT, _ = find("POST", "/v1/chat/completions")
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
PLAIN = dump(
    {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
)


def delta(text: str, finish: str | None = None) -> bytes:
    return (
        b"data: "
        + dump({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})
        + b"\n\n"
    )


REASONED = delta("a", "stop")
EXTRA = b"data: " + dump({"choices": [], "usage": USAGE}) + b"\n\n"
DONE = b"data: [DONE]\n\n"


def incoming(*parts: bytes, status: int = 200, kind: str = "application/json", **more: object) -> Incoming:
    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    reply = Reply(status, {"content-type": kind}, body(), lambda: None, "up")
    limits = {"max_answer": 2**20, "max_entry": 2**20} | more
    return Incoming(ENDPOINT, reply, **limits)  # type: ignore[arg-type]


def stream(*parts: bytes, **more: object) -> Incoming:
    return incoming(*parts, kind="text/event-stream", **more)


async def drained(answer: Incoming) -> list[tuple[bytes, bool]]:
    return [(piece.data, piece.extra) async for piece in answer.pieces()]


async def test_a_plain_answer_is_whole_before_it_is_shown() -> None:
    kept: list[Incoming] = []
    answer = incoming(PLAIN[:10], PLAIN[10:], keep=kept.append)
    await answer.begin(asked_for_stream=False)
    assert (answer.length, answer.complete, answer.usage and answer.usage.total) == (len(PLAIN), True, 7)
    assert kept == [answer]
    assert await drained(answer) == [(PLAIN, False)]
    entry = answer.entry("m", 5)
    assert entry is not None
    assert (entry.mode, entry.chunks, entry.created) == ("plain", [PLAIN], 5)


@pytest.mark.parametrize(
    ("body", "kind"), [(b"<html>", "text/html"), (b"{", "application/json"), (b"", "application/json")]
)
async def test_a_success_that_is_no_json_is_no_answer(body: bytes, kind: str) -> None:
    with pytest.raises(UpstreamProtocolError):
        await incoming(body, kind=kind).begin(asked_for_stream=False)


async def test_an_error_passes_whatever_it_is() -> None:
    answer = incoming(b"<html>busy", status=503, kind="text/html")
    await answer.begin(asked_for_stream=True)
    assert (answer.failed, await drained(answer)) == (True, [(b"<html>busy", False)])
    assert answer.entry("m", 0) is None


async def test_an_answer_past_the_limit_is_refused() -> None:
    with pytest.raises(UpstreamProtocolError):
        await incoming(b"x" * 60, b"x" * 60, max_answer=100).begin(asked_for_stream=False)


async def test_a_stream_that_nobody_asked_for_is_no_answer() -> None:
    with pytest.raises(UpstreamProtocolError):
        await stream(DONE).begin(asked_for_stream=False)


async def test_every_split_of_a_stream_reads_the_same() -> None:
    whole = delta("好") + delta("🙂", "stop") + EXTRA + DONE
    for size in (1, 2, 3, 7, 50, len(whole)):
        kept: list[Incoming] = []
        answer = stream(*(whole[i : i + size] for i in range(0, len(whole), size)), keep=kept.append)
        await answer.begin(asked_for_stream=True)
        pieces = await drained(answer)
        assert b"".join(data for data, _ in pieces) == whole
        assert [data for data, extra in pieces if extra] == [EXTRA]
        assert (answer.complete, answer.usage and answer.usage.total, kept) == (True, 7, [answer])
        assert b"".join(answer.chunks or []) == whole


async def test_the_answer_is_offered_before_its_last_event_is_shown() -> None:
    kept: list[Incoming] = []
    answer = stream(delta("a", "stop") + EXTRA, DONE, keep=kept.append)
    await answer.begin(asked_for_stream=True)
    async for piece in answer.pieces():
        if piece.data == DONE:
            assert kept == [answer]
        else:
            assert kept == []


async def test_a_stream_that_ends_before_its_end_is_not_taken_for_a_whole_one() -> None:
    kept: list[Incoming] = []
    answer = stream(delta("a"), keep=kept.append)
    await answer.begin(asked_for_stream=True)
    with pytest.raises(UpstreamProtocolError):
        await drained(answer)
    assert (answer.complete, kept, answer.output_texts) == (False, [], ["a"])


async def test_finished_without_done_passes_and_is_not_kept() -> None:
    kept: list[Incoming] = []
    answer = stream(delta("a", "stop"), keep=kept.append)
    await answer.begin(asked_for_stream=True)
    assert await drained(answer) == [(delta("a", "stop"), False)]
    assert (answer.complete, kept) == (True, [])


async def test_too_large_to_keep_still_passes() -> None:
    kept: list[Incoming] = []
    answer = stream(delta("x" * 200), delta("", "stop") + DONE, keep=kept.append, max_entry=100)
    await answer.begin(asked_for_stream=True)
    assert len(await drained(answer)) == 2
    assert (answer.chunks, kept) == (None, [])


@given(
    cuts=st.lists(st.integers(1, 40), max_size=12),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    more=st.lists(st.sampled_from([b": comment", b"event: x", b"id: 7", b"data:x\ndata: y"]), max_size=4),
)
async def test_a_client_gets_all_bytes_but_the_usage_event_at_every_cut(
    cuts: list[int], end: bytes, more: list[bytes]
) -> None:
    events = [delta("\u597d"), *(line + b"\n\n" for line in more), REASONED, EXTRA, DONE]
    whole = b"".join(event.replace(b"\n", end) for event in events)
    parts, rest = [], whole
    for size in cuts:
        parts.append(rest[:size])
        rest = rest[size:]
    answer = stream(*parts, rest)
    await answer.begin(asked_for_stream=True)
    pieces = await drained(answer)
    assert b"".join(data for data, _ in pieces) == whole
    shown = b"".join(data for data, extra in pieces if not extra)
    assert shown == whole.replace(EXTRA.replace(b"\n", end), b"")


async def test_what_has_arrived_is_metered_even_if_nobody_takes_it() -> None:
    answer = stream(REASONED + EXTRA + DONE)
    await answer.begin(asked_for_stream=True)
    await anext(answer.pieces())
    assert (answer.usage and answer.usage.total, answer.complete) == (7, True)


async def test_the_usage_event_is_extra_also_as_the_last_words() -> None:
    answer = stream(REASONED, EXTRA.removesuffix(b"\n\n"))
    await answer.begin(asked_for_stream=True)
    assert [extra for _, extra in await drained(answer)] == [False, True]


async def test_what_breaks_after_the_proper_end_has_broken_nothing() -> None:
    for last, broken in ((DONE, False), (REASONED, True)):

        async def body(last: bytes = last) -> AsyncIterator[bytes]:
            yield last
            raise UpstreamProtocolError("reset")

        reply = Reply(200, {"content-type": "text/event-stream"}, body(), lambda: None, "up")
        answer = Incoming(ENDPOINT, reply, max_answer=2**20, max_entry=2**20)
        await answer.begin(asked_for_stream=True)
        if broken:
            with pytest.raises(UpstreamProtocolError):
                await drained(answer)
        else:
            assert await drained(answer) == [(last, False)]


@pytest.mark.parametrize(
    ("stated", "total"),
    [
        ([USAGE, USAGE | {"completion_tokens": 9}], 12),
        ([USAGE, USAGE | {"completion_tokens": -1}], 7),
        ([USAGE, USAGE | {"completion_tokens": 10**18}], 7),
        ([{"prompt_tokens": "3"}], None),
        ([None], None),
    ],
)
async def test_the_last_usage_that_can_be_believed_counts(stated: list[object], total: int | None) -> None:
    events = [b"data: " + dump({"choices": [], "usage": one}) + b"\n\n" for one in stated]
    answer = stream(REASONED, *events, DONE)
    await answer.begin(asked_for_stream=True)
    await drained(answer)
    assert (answer.usage.total if answer.usage else None) == total


async def test_usage_beside_the_last_choice_is_read_and_shown() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    last = b"data: " + dump({"choices": [choice], "usage": USAGE}) + b"\n\n"
    answer = stream(last, DONE)
    await answer.begin(asked_for_stream=True)
    assert await drained(answer) == [(last, False), (DONE, False)]
    assert answer.usage is not None


class Feed:
    """A body that can be read on after a reader was cancelled, as that of a real upstream."""

    def __init__(self, *parts: bytes) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = 0
        for part in parts:
            self.queue.put_nowait(part)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if (part := await self.queue.get()) is None:
            raise StopAsyncIteration
        return part

    def close(self) -> None:
        self.closed += 1

    async def answer(self) -> Incoming:
        reply = Reply(200, {"content-type": "text/event-stream"}, self, self.close, "up")
        made = Incoming(ENDPOINT, reply, max_answer=2**20, max_entry=2**20)
        await made.begin(asked_for_stream=True)
        return made


async def left(answer: Incoming) -> None:
    """A reader takes what there is, waits for more, and is cancelled."""
    reading = asyncio.create_task(drained(answer))
    for _ in range(20):
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_finished_stream_is_read_on_for_its_usage_wherever_it_was_cut() -> None:
    rest = EXTRA + DONE
    for at in range(len(rest)):
        feed = Feed(REASONED + rest[:at])
        answer = await feed.answer()
        await left(answer)
        assert answer.owes_usage == (at < len(EXTRA))
        feed.queue.put_nowait(rest[at:])
        feed.queue.put_nowait(None)
        await answer.finish(PATIENCE)
        assert (answer.usage and answer.usage.total, feed.closed) == (7, 1)
        assert not answer.owes_usage


@pytest.mark.parametrize("part", [delta("a"), REASONED + EXTRA, REASONED + DONE, REASONED[:-1]])
async def test_a_stream_that_owes_nothing_is_closed_at_once(part: bytes) -> None:
    feed = Feed(part)
    answer = await feed.answer()
    await left(answer)
    assert not answer.owes_usage
    await answer.finish(10 * PATIENCE)
    assert feed.closed == 1


async def test_the_wait_for_usage_is_bounded_and_breaks_nothing() -> None:
    silent = Feed(REASONED)
    answer = await silent.answer()
    await left(answer)
    await answer.finish(0.001)
    assert (answer.usage, silent.closed, answer.owes_usage) == (None, 1, False)
    await answer.finish(10 * PATIENCE)
    short = Feed(REASONED)
    answer = await short.answer()
    await left(answer)
    short.queue.put_nowait(None)
    await answer.finish(10 * PATIENCE)
    assert (answer.usage, short.closed) == (None, 1)


async def test_an_estimate_has_what_the_answer_says_beside_its_tokens() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}}
    event = b"data: " + dump({"type": "response.output_item.done", "item": item}) + b"\n\n"
    answer = stream(event)
    answer.endpoint, _ = find("POST", "/v1/responses")
    await answer.begin(asked_for_stream=True)
    await anext(answer.pieces())
    assert answer.estimate(3, 4) == Usage(3, 4, estimated=True, web_searches=1)
    whole = incoming(dump({"output": [item], "service_tier": "flex"}))
    whole.endpoint = answer.endpoint
    await whole.begin(asked_for_stream=False)
    assert whole.estimate(3, 4) == Usage(3, 4, estimated=True, web_searches=1, tier="flex")
