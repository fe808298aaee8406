"""An answer passes byte for byte, at its reader's speed, and says what it used."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from gateway.answer import Answer
from gateway.errors import UpstreamProtocolError
from gateway.exchange import Reply
from gateway.passing import Passing
from gateway.policy.endpoints import Body, Charge, Endpoint
from gateway.policy.records import Usage

USAGE = {"input_tokens": 50, "output_tokens": 60, "input_tokens_details": {"image_tokens": 40}}
PICTURE = json.dumps({"data": [{"b64_json": "QUJD" * 100}], "usage": USAGE}).encode()
SPENT = Usage(50, 60, input_image=40, output_image=60)
JSON = "application/json"


class Sender:
    """The upstream's side: what it has handed out, and whether it was let go of."""

    def __init__(self, *parts: bytes | Exception | asyncio.Event) -> None:
        self.parts = parts
        self.handed_out = 0
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            if isinstance(part, asyncio.Event):
                await part.wait()
                continue
            self.handed_out += 1
            yield part

    def close(self) -> None:
        self.closed += 1


def passing(
    sender: Sender,
    kind: str = JSON,
    *,
    status: int = 200,
    name: str = "images.generate",
    method: str = "POST",
    charge: Charge = Charge.USAGE,
    **headers: str,
) -> Passing:
    given = {"content-type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    reply = Reply(status, given, aiter(sender), sender.close, "up")
    return Passing(Endpoint(name, method, "/x", "inference", Body.JSON, charge), reply)


async def drained(answer: Answer) -> bytes:
    return b"".join([piece.data async for piece in answer.pieces()])


@pytest.mark.parametrize("status", [200, 201, 204, 400, 404, 500, 503, 599])
@pytest.mark.parametrize("body", [b"", b"\x00\xff binary", b"<html>", b'{"half'])
async def test_whatever_comes_is_passed_on(status: int, body: bytes) -> None:
    answer = passing(Sender(body) if body else Sender(), "application/octet-stream", status=status)
    assert await drained(answer) == body
    assert (answer.status, answer.failed, answer.complete) == (status, status >= 400, True)
    assert (answer.stream, answer.output_texts, answer.output_bytes) == (False, [], 0)


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({}, None),
        ({"content_length": "0"}, 0),
        ({"content_length": "1073741824"}, 2**30),
        ({"content_length": "-1"}, None),
        ({"content_length": "1e3"}, None),
        ({"content_length": "9" * 40}, None),
        ({"content_length": "²"}, None),
        ({"content_length": "5", "transfer_encoding": "chunked"}, None),
    ],
)
async def test_its_length_is_what_the_upstream_says_if_that_is_one(
    headers: dict[str, str], length: int | None
) -> None:
    assert passing(Sender(), **headers).length == length


async def test_the_headers_that_describe_a_body_go_with_it() -> None:
    answer = passing(
        Sender(),
        "audio/mpeg",
        content_disposition='attachment; filename="a.mp3"',
        content_encoding="gzip",
        set_cookie="a=b",
        openai_organization="ours",
        x_request_id="req_1",
    )
    assert dict(answer.headers) == {
        "content-type": "audio/mpeg",
        "content-disposition": 'attachment; filename="a.mp3"',
        "content-encoding": "gzip",
        "x-request-id": "req_1",
    }


async def test_nothing_is_read_before_it_is_asked_for() -> None:
    sender = Sender(*[b"x" * 1000] * 100)
    answer = passing(sender, "video/mp4", charge=Charge.FREE)
    pieces = answer.pieces()
    for count in range(1, 5):
        assert (await anext(pieces)).data == b"x" * 1000
        assert sender.handed_out == count
    await pieces.aclose()
    answer.close()
    assert (sender.handed_out, sender.closed, answer.complete) == (4, 1, False)


async def test_what_breaks_off_is_broken_off() -> None:
    answer = passing(Sender(b"half", UpstreamProtocolError("cut")))
    with pytest.raises(UpstreamProtocolError):
        await drained(answer)
    assert not answer.complete


async def test_a_stream_of_events_ends_as_the_upstream_ended_it() -> None:
    answer = passing(Sender(b"data: {}\n\ndata: ha"), "text/event-stream")
    assert await drained(answer) == b"data: {}\n\ndata: ha"
    assert (answer.length, answer.complete) == (None, True)


async def test_its_usage_is_known_when_it_has_passed() -> None:
    answer = passing(Sender(PICTURE[:300], PICTURE[300:]))
    assert (answer.usage, answer.owes_usage) == (None, True)
    assert await drained(answer) == PICTURE
    assert (answer.usage, answer.owes_usage) == (SPENT, False)


async def test_what_is_free_owes_nothing() -> None:
    answer = passing(Sender(PICTURE), charge=Charge.FREE)
    assert not answer.owes_usage
    assert await drained(answer) == PICTURE
    assert answer.usage is None


async def test_an_answer_that_was_broken_off_may_have_said_what_it_used() -> None:
    body = json.dumps({"usage": USAGE, "data": ["QUJD"]}).encode()
    answer = passing(Sender(body[:-4], UpstreamProtocolError("cut")))
    with pytest.raises(UpstreamProtocolError):
        await drained(answer)
    answer.close()
    assert answer.usage == SPENT


async def test_sound_states_nothing_and_is_estimated() -> None:
    answer = passing(Sender(b"ID3"), "audio/mpeg", name="audio.speech.create")
    await drained(answer)
    assert (answer.usage, answer.owes_usage, answer.failed) == (None, False, False)
    assert answer.estimate(5, 30) == Usage(5, 30, estimated=True)


# Read whole, before any of it is handed on


async def test_an_object_can_be_read_whole_and_is_then_passed_on() -> None:
    answer = passing(Sender(PICTURE[:7], PICTURE[7:]), transfer_encoding="chunked")
    assert answer.length is None
    assert await answer.whole(len(PICTURE)) == PICTURE
    assert await answer.whole(1) == PICTURE
    assert (answer.length, answer.complete, answer.usage) == (len(PICTURE), True, SPENT)
    assert await drained(answer) == PICTURE


async def test_what_was_read_whole_can_be_replaced() -> None:
    answer = passing(Sender(b'{"data":[1,2]}'), content_length="14", etag='"1"', charge=Charge.FREE)
    await answer.whole(100)
    assert ("etag", '"1"') in answer.headers
    answer.replace(b'{"data":[1]}')
    assert "etag" not in dict(answer.headers)
    assert (answer.length, await drained(answer)) == (12, b'{"data":[1]}')
    answer.replace(b"")
    assert (answer.length, await drained(answer)) == (0, b"")


@pytest.mark.parametrize(
    ("kind", "status", "headers"),
    [
        ("text/event-stream", 200, {}),
        ("application/octet-stream", 200, {}),
        (JSON, 404, {}),
        (JSON, 200, {"content_encoding": "br"}),
    ],
)
async def test_what_is_no_object_is_not_read(kind: str, status: int, headers: dict[str, str]) -> None:
    sender = Sender(b"abc")
    answer = passing(sender, kind, status=status, **headers)
    assert await answer.whole(100) is None
    assert sender.handed_out == 0
    assert await drained(answer) == b"abc"


async def test_an_object_that_is_too_large_is_not_read_to_its_end() -> None:
    sender = Sender(*[b"x" * 60] * 100)
    with pytest.raises(UpstreamProtocolError):
        await passing(sender).whole(100)
    assert sender.handed_out == 2
