import asyncio

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from gateway.web.overhead import FREE, PER_BYTE, Overhead


def body() -> StreamReader:
    return StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16)


async def test_what_arrives_beside_a_body_is_bounded() -> None:
    overhead, one = Overhead(), body()
    assert not overhead.is_too_much(one, 10 * FREE)  # the request's head was in there
    assert not overhead.is_too_much(one, FREE)
    assert overhead.is_too_much(one, 1)


async def test_each_byte_of_the_body_allows_for_more() -> None:
    overhead, one = Overhead(), body()
    overhead.is_too_much(one, 0)
    one.feed_data(b"x" * 1000)
    assert not overhead.is_too_much(one, FREE + 1000 + PER_BYTE * 1000)
    assert overhead.is_too_much(one, 1)


async def test_each_body_is_counted_for_itself() -> None:
    overhead, one, other = Overhead(), body(), body()
    overhead.is_too_much(one, 0)
    assert not overhead.is_too_much(one, FREE)
    assert not overhead.is_too_much(other, 10 * FREE)  # the end of one, and the beginning of the other
    assert not overhead.is_too_much(other, FREE)
    other.feed_eof()
    assert not overhead.is_too_much(other, 10 * FREE)
