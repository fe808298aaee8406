"""The lane and aiohttp's server read every byte alike: what is in the lane is only faster."""

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.web.memory import answers

BODY = b'{"model":"gpt-6-luna"}'
FIELDS = (
    b"Host: gateway:8080\r\n",
    b"Authorization: Bearer sk-gw-0123\r\n",
    b"Content-Type: application/json\r\n",
    b"Connection: keep-alive\r\n",
    b"X-Gateway-Tags:  a=b \t\r\n",
    b"Content-Length: 22\r\n",
)
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
GOOD = LINE + b"".join(FIELDS) + b"\r\n" + BODY
OTHER = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
# What may stand where it should not, or instead of something else.
PIECES = st.sampled_from(
    [
        *(bytes([one]) for one in range(256)),
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b" ",
            b"\t",
            b"%",
            b"?",
            b"#",
            b"//",
            b"0",
            b"1",
            b"9" * 18,
            b"9" * 19,
        ),
        *(b"HTTP/1.0", b"HTTP/1.2", b"GET", b"Host: b\r\n", b"Host:\r\n", b"Host: a/b\r\n", b":"),
        *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 22\r\n", b"Content-Length: 3\r\n"),
        *(b"Content-Length: +22\r\n", b"Content-Length : 22\r\n", b"Expect: x\r\n", b"Upgrade: h2c\r\n"),
        *(b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Connection: x\r\n", b"Trailer: a\r\n"),
        *(b"X: y\r\n z\r\n", b"X: \xe9\r\n", b"X: \x7f\r\n", b"X\xe9: y\r\n", b"Content-Encoding: gzip\r\n"),
        *(b"Content-Encoding: identity\r\n", b"x" * 8200, b"X: y\r\n" * 130, b"Proxy-Connection: close\r\n"),
        *(b"Sec-WebSocket-Key1: x\r\n", GOOD, OTHER, b""),
    ]
)
PLACES = st.integers(0, len(GOOD))


def both(data: bytes) -> None:
    """What comes in one piece is answered alike as well, but for aiohttp's habit: it looks for what is
    malformed in the whole of a piece, before it looks at any request in it."""

    async def main() -> None:
        seen, closed = await answers(in_pieces(data), lane=True)
        assert (seen, closed) == await answers(in_pieces(data), lane=False)
        at_once, closed_at_once = await answers([data], lane=True)
        assert closed_at_once == closed
        assert fine(at_once) == fine(seen)[: len(fine(at_once))]

    asyncio.run(main())


def fine(seen: list[Any]) -> list[Any]:
    return [answer for answer in seen if answer[0] == "HTTP/1.1 200 OK"]


def in_pieces(data: bytes) -> list[bytes]:
    """Lines; and what may be the end of a body, byte by byte."""
    first, *others = data.split(b"\r\n\r\n")
    pieces = lines(first)
    for other in others:
        pieces += [b"\r\n\r\n", *single(other[:40]), *lines(other[40:])]
    return pieces


def lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@settings(max_examples=150)
@given(st.lists(st.tuples(PLACES, st.integers(0, 12), PIECES), min_size=1, max_size=3))
@example([(0, 0, b"\r\n")])
@example([(len(LINE) - 4, 1, b"0")])
def test_what_is_changed_is_read_as_aiohttp_reads_it(changes: list[tuple[int, int, bytes]]) -> None:
    data = GOOD
    for at, gone, instead in changes:
        data = data[:at] + instead + data[at + gone :]
    both(data)
    both(GOOD + data + GOOD)


@settings(max_examples=100)
@given(st.lists(st.sampled_from(FIELDS), max_size=8), PIECES, st.binary(max_size=30))
def test_fields_in_any_order_and_number(fields: list[bytes], odd: bytes, body: bytes) -> None:
    both(LINE + b"".join(fields) + odd + b"\r\n" + body)


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([GOOD, GOOD.replace(b"22", b"0022"), OTHER]), min_size=1, max_size=5), st.data()
)
def test_every_split_of_every_pipeline_reads_the_same(requests: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(requests)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    async def main() -> None:
        seen, closed = await answers(pieces, lane=True)
        assert (seen, closed) == await answers([whole], lane=False)
        assert len(seen) == len(requests)

    asyncio.run(main())


def test_one_byte_at_a_time() -> None:
    async def main() -> None:
        pieces = single(GOOD + GOOD + OTHER + GOOD)
        assert await answers(pieces, lane=True) == await answers(pieces, lane=False)

    asyncio.run(main())
