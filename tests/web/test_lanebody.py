import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RequestTimeout
from gateway.web.lanebody import LaneBody


def body(length: int, begun: bytes = b"", patience: float = 20) -> LaneBody:
    return LaneBody(length, begun, patience, lambda: None)


async def test_what_came_with_its_head_is_here() -> None:
    assert await body(2, b"{}").read() == b"{}"
    assert await body(0).read() == b""


@given(st.binary(min_size=1, max_size=40), st.binary(max_size=10), st.lists(st.integers(0, 50), max_size=5))
def test_every_split_reads_the_same_and_what_is_beyond_comes_back(
    data: bytes, more: bytes, cuts: list[int]
) -> None:
    async def main() -> None:
        whole = data + more
        places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
        pieces = [whole[start:end] for start, end in itertools.pairwise(places)]
        one = body(len(data))
        reading = asyncio.create_task(one.read())
        beyond = b""
        for piece in pieces:
            await asyncio.sleep(0)
            beyond += one.feed(piece) if one.missing else piece
        assert (await reading, beyond, one.missing) == (data, more, 0)

    asyncio.run(main())


async def test_the_rest_is_asked_for_when_somebody_waits() -> None:
    asked: list[bool] = []
    one = LaneBody(3, b"a", 20, lambda: asked.append(True))
    assert (one.asked, asked) == (False, [])
    reading = asyncio.create_task(one.read())
    await asyncio.sleep(0)
    assert (one.asked, asked) == (True, [True])
    one.feed(b"bc")
    assert await reading == b"abc"


async def test_what_stops_is_given_up() -> None:
    with pytest.raises(RequestTimeout):
        await body(50, b"five!", 0.02).read()


async def test_what_has_come_buys_time() -> None:
    one = body(100_001, b"", 0.05)
    reading = asyncio.create_task(one.read())
    await asyncio.sleep(0)
    one.feed(b"x" * 100_000)
    await asyncio.sleep(0.15)  # 100 kB have bought seconds
    one.feed(b"x")
    assert len(await reading) == 100_001


async def test_a_byte_now_and_then_buys_none() -> None:
    one = body(1000, b"", 0.05)
    reading = asyncio.create_task(one.read())
    while not reading.done():
        one.feed(b"x")
        await asyncio.sleep(0.005)
    with pytest.raises(RequestTimeout):
        await reading


def test_what_is_dropped_is_still_counted() -> None:
    one = body(10, b"ab")
    one.drop()
    assert one.feed(b"c" * 12) == b"cccc"
    assert (one.missing, repr(one)) == (0, "<LaneBody 10 of 10 bytes>")
