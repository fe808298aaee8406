"""Bytes in, answers out; wherever the bytes are cut."""

import asyncio
import socket
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.settings import Upstream
from gateway.upstream.answerhead import MAX_HEAD
from gateway.upstream.arrival import READ_BUFFER, Arrival
from gateway.upstream.connection import Connection
from gateway.upstream.provider import Provider
from gateway.upstream.secrets import NO_SECRET
from gateway.upstream.sending import SLICE
from tests import misanswers

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = [
    OK + b"Content-Length: 4\r\nX-A: caf\xc3\xa9 \t\r\nx-a: \xff\r\n\r\ntrue",
    OK + b"Content-Length: 0\r\n\r\n",
    OK + b"Content-Length: 4\r\n\r\ntrue" + OK,
    OK + b"Content-Length: 4\r\n\r\ntrue\r\n",
    OK + b"Content-Length: 4\r\nConnection: close\r\n\r\ntrue",
    OK + b"\r\nuntil the end",
    CHUNKED + b"4;a=b;c\r\ntrue\r\n1 \r\n!\r\n0\r\nT: u\r\nV: w\r\n\r\n",
    CHUNKED + b"4\r\ntrue\r\nzz\r\n",
    CHUNKED + b"4\r\ntrue\r\n0\r\n\r\nHTTP/1.",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
    + OK
    + b"Content-Length: 1\r\n\r\na",
    b"HTTP/1.1 103 Early\r\nContent-Length: 1\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI",
    b"HTTP/1.1 200\nContent-Length: 2\n\nab",
    OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    OK + b"Content-Length: 18446744073709551615\r\n\r\na",
    OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    OK + b"A: b\rc\r\n\r\n",
    OK + b"A: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
    OK + b"A : b\r\nContent-Length: 0\r\n\r\n",
    OK + b"A: \x7f\r\nContent-Length: 0\r\n\r\n",
    OK + b"A: \x00\r\n\r\n",
    b"hello\r\n\r\n",
    b"",
]


class Wire(asyncio.Transport):
    """A transport that notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = socket.socketpair()
        self.written: list[bytes] = []
        self.over = False
        self.reading = True
        self.unsent = 0

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": self.ends[0]}.get(name, default)

    def is_closing(self) -> bool:
        return self.over

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.over = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Talk:
    """A connection that has been asked once, and its home."""

    def __init__(self, body: bytes = b"") -> None:
        self.idle: list[Connection] = []
        self.wire = Wire()
        self.connection = Connection(self, 120)
        self.connection.connection_made(self.wire)
        self.provider = Provider(
            Upstream(name="up", base_url="http://up.example/v1"), NO_SECRET, lambda *_: None
        )
        self.asked = self.ask(body)

    def ask(self, body: bytes = b"") -> bool:
        loop = asyncio.get_running_loop()
        self.arrival = Arrival(self.provider, loop, loop.time())
        return self.connection.ask(b"head", body, self.arrival)

    def put(self, connection: Connection) -> None:
        self.idle.append(connection)

    def forget(self, connection: Connection) -> None:
        if connection in self.idle:
            self.idle.remove(connection)

    def hear(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self.wire.over:
                self.connection.data_received(piece)

    def end(self, error: Exception | None = None) -> None:
        self.wire.over = True
        self.connection.connection_lost(error)
        for end in self.wire.ends:
            end.close()


async def heard(pieces: Sequence[bytes]) -> dict[str, object]:
    """All that can be told of an answer that came in these pieces."""
    talk = Talk()
    talk.hear(*pieces)
    kept = talk.idle == [talk.connection] and not talk.wire.over
    talk.end()
    arrival = talk.arrival
    failed = None if arrival.status else arrival._failure
    body, broken = b"", None
    try:
        async for data in arrival:
            body += data
    except GatewayError as error:
        broken = str(error)
    return {
        "status": arrival.status,
        "headers": list(arrival.headers.items()),
        "body": body,
        "broken": broken,
        "failed": failed,
        "kept": kept,
    }


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_every_cut_reads_the_same(answer: bytes) -> None:
    async def compare() -> None:
        whole = await heard([answer])
        for cut in range(len(answer)):
            assert await heard([answer[:cut], answer[cut:]]) == whole
        assert await heard([answer[at : at + 1] for at in range(len(answer))]) == whole

    asyncio.run(compare())


@given(
    st.sampled_from([*ANSWERS, *(b"".join(one.parts) for one in misanswers.ODD)]),
    st.lists(st.integers(0, 120), max_size=8),
)
def test_every_split_reads_the_same(answer: bytes, cuts: list[int]) -> None:
    at = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    pieces = [answer[start:end] for start, end in pairwise(at)]

    async def compare() -> None:
        assert await heard(pieces) == await heard([answer])

    asyncio.run(compare())


@given(st.binary(max_size=300), st.sampled_from([b"", OK, CHUNKED, OK + b"Content-Length: 9\r\n\r\n"]))
def test_whatever_comes_is_an_answer_or_a_failure(noise: bytes, before: bytes) -> None:
    async def listen() -> None:
        told = await heard([before + noise])
        assert told["status"] or told["failed"]

    asyncio.run(listen())


async def test_what_is_told_of_one() -> None:
    assert await heard([ANSWERS[0]]) == {
        "status": 200,
        "headers": [("Content-Length", "4"), ("X-A", "caf\xe9"), ("x-a", "\udcff")],
        "body": b"true",
        "broken": None,
        "failed": None,
        "kept": True,
    }


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (ANSWERS[2], False),
        (ANSWERS[3], True),
        (ANSWERS[4], False),
        (ANSWERS[6], True),
        (ANSWERS[8], False),
        (ANSWERS[11], True),
        (ANSWERS[12], False),
        (ANSWERS[13], True),
    ],
)
async def test_which_connections_are_kept(answer: bytes, kept: bool) -> None:
    told = await heard([answer])
    assert (told["kept"], told["broken"]) == (kept, None)


async def test_what_is_no_answer_behind_an_answer_makes_it_doubtful() -> None:
    """It was told to be shorter than it is. Later than that, nobody can know."""
    told = await heard([ANSWERS[0] + b"more"])
    assert (told["status"], told["broken"], told["kept"]) == (
        200,
        "Upstream `up` broke off in the middle of its answer.",
        False,
    )
    told = await heard([ANSWERS[0], b"more"])
    assert (told["body"], told["broken"], told["kept"]) == (b"true", None, False)


async def test_informed_ever_again_it_is_the_upstreams_time() -> None:
    talk = Talk()
    talk.hear(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * (MAX_HEAD // 8))
    assert (talk.wire.over, talk.arrival.status) == (False, 0)
    talk.hear(b"HTTP/1.1 103 Hints\r\n" + b"A: b\r\n" * 129 + b"\r\n")
    assert talk.wire.over
    talk.end()


async def test_a_trailer_is_no_header_of_the_next_answer() -> None:
    talk = Talk()
    talk.hear(ANSWERS[6])
    assert talk.ask()
    talk.hear(ANSWERS[1])
    assert list(talk.arrival.headers) == ["Content-Length"]
    talk.end()


async def test_head_and_body_leave_in_one_write() -> None:
    talk = Talk(b"body")
    assert talk.wire.written == [b"headbody"]
    talk.end()


async def test_a_large_body_leaves_as_it_is_taken() -> None:
    body = bytes(range(256)) * (SLICE // 64)
    talk = Talk()
    talk.hear(ANSWERS[1])
    talk.wire.written.clear()
    talk.connection.pause_writing()
    talk.ask(body)
    assert talk.wire.written == [b"head"]
    talk.connection.resume_writing()
    assert b"".join(talk.wire.written) == b"head" + body
    assert max(map(len, talk.wire.written)) <= SLICE
    talk.hear(ANSWERS[1])
    assert talk.idle
    talk.end()


async def test_answered_before_all_is_sent_it_is_not_asked_again() -> None:
    talk = Talk()
    talk.hear(ANSWERS[1])
    talk.connection.pause_writing()
    talk.ask(b"x" * 2 * SLICE)
    talk.idle.clear()
    talk.hear(ANSWERS[1])
    assert (talk.idle, talk.wire.over, talk.arrival.status) == ([], True, 200)
    talk.end()


async def test_one_that_waited_for_its_reader_hears_again_when_it_is_free() -> None:
    """TLS hands on what it has decrypted, although it was told to wait."""
    talk = Talk()
    talk.hear(OK + b"Content-Length: %d\r\n\r\n" % (READ_BUFFER + 1), b"x" * READ_BUFFER)
    reading = [talk.wire.reading]
    talk.hear(b"x")
    assert [*reading, talk.wire.reading, bool(talk.idle)] == [False, True, True]
    talk.end()


async def test_one_that_ends_is_not_asked() -> None:
    talk = Talk()
    talk.hear(ANSWERS[1])
    talk.wire.written.clear()
    talk.wire.over = True
    assert not talk.ask()
    assert talk.wire.written == []
    talk.end()


@pytest.mark.parametrize(
    ("noise", "over"), [(b"\r\n", False), (b"\r\n\r\n", False), (b"H", True), (b" ", True)]
)
async def test_what_comes_while_nobody_asks(noise: bytes, over: bool) -> None:
    talk = Talk()
    talk.hear(ANSWERS[1], noise)
    assert (talk.wire.over, bool(talk.idle)) == (over, not over)
    talk.end()


async def test_what_the_kernel_knows_is_known() -> None:
    talk = Talk()
    talk.hear(ANSWERS[1])
    assert talk.connection.is_quiet()
    talk.wire.ends[1].shutdown(socket.SHUT_WR)
    assert not talk.connection.is_quiet()
    talk.end()


async def test_a_quick_upstream_waits_for_its_reader() -> None:
    talk = Talk()
    talk.hear(CHUNKED + b"fffff\r\n", b"x" * READ_BUFFER)
    reading = [talk.wire.reading]
    assert len(await anext(talk.arrival)) == READ_BUFFER
    assert [*reading, talk.wire.reading] == [False, True]
    talk.end()


@pytest.mark.parametrize(
    "noise",
    [
        [OK, *[b"A: %b\r\n" % (b"x" * 8000)] * 9],
        [OK + b"A: " + b"x" * 8190 + b"\r\n\r\n"],
        [OK + b"A: b\r\n" * 129 + b"X: %b\r\n\r\n" % (b"x" * 8000)],
        [b"HTTP/1.1 200 " + b"x" * 8191 + b"\r\n\r\n"],
        [CHUNKED, *[b"0;" + b"x" * 8000] * 9],
        [CHUNKED + b"0\r\nT: ", *[b"x" * 8000] * 9],
    ],
    ids=["head", "header", "headers", "reason", "extension", "trailer"],
)
async def test_what_is_no_body_has_a_bound(noise: list[bytes]) -> None:
    talk = Talk()
    talk.hear(*noise)
    assert talk.wire.over
    assert talk.arrival._failure
    talk.end()


async def test_what_is_answered_before_all_of_it_has_left_is_not_kept() -> None:
    talk = Talk(b"body")
    talk.wire.unsent = 4
    talk.hear(OK + b"Content-Length: 0\r\n\r\n")
    assert talk.wire.over
    assert not talk.idle
    talk.end()


async def test_its_repr() -> None:
    talk = Talk()
    assert repr(talk.connection) == "<Connection asked>"
    talk.hear(ANSWERS[1])
    assert repr(talk.connection) == "<Connection idle>"
    talk.end()
