"""An answer is read once, metered as it passes, and offered to the cache before its end is shown."""

from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamProtocolError
from gateway.exchange import Reply
from gateway.incoming import Incoming
from gateway.policy.endpoints import find
from tests.scripted import dump

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
