"""One call, many readers: live, from the first byte, and never ended by one reader's leaving."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import InternalError, UpstreamProtocolError
from gateway.exchange import ClientGone, Reply
from gateway.flights import Flight, FlightFailed, Flights
from gateway.incoming import Incoming
from gateway.policy.endpoints import find
from gateway.policy.records import Usage
from gateway.runtime import Tasks
from tests.waiting import PATIENCE, until

ENDPOINT, _ = find("POST", "/v1/chat/completions")


def event(text: str, finish: str = "null") -> bytes:
    choice = f'{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{finish}}}'
    return f'data: {{"id":"x","choices":[{choice}]}}\n\n'.encode()


DONE = event("", '"stop"') + b"data: [DONE]\n\n"


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
FINISHED = event("", '"stop"')


class Script:
    """An upstream's answer, fed by the test."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.closed = False
        self.taken = 0

    async def body(self) -> AsyncIterator[bytes]:
        while (item := await self.queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            self.taken += len(item)
            yield item

    async def call(self) -> Incoming:
        reply = Reply(200, {"content-type": "text/event-stream"}, self.body(), self.close, "up")
        incoming = Incoming(ENDPOINT, reply, max_answer=2**20, max_entry=2**20)
        await incoming.begin(asked_for_stream=True)
        return incoming

    def close(self) -> None:
        self.closed = True


async def read(flight: Flight, reader: object) -> bytes:
    return b"".join([piece.data async for piece in flight.pieces(reader)])


@pytest.fixture
def script() -> Script:
    return Script()


async def test_late_readers_get_the_whole_answer(script: Script) -> None:
    flights, tasks = Flights(2**20, 0), Tasks()
    flight = flights.announce(b"k")
    first = flight.enter()
    flight.launch(script.call, tasks.spawn)
    await flight.head()
    script.queue.put_nowait(event("a"))
    pieces = flight.pieces(first)
    assert (await anext(pieces)).data == event("a")
    found = flights.find(b"k")
    assert found is flight
    second = asyncio.create_task(read(flight, flight.enter()))
    script.queue.put_nowait(DONE)
    script.queue.put_nowait(None)
    assert await second == event("a") + DONE
    assert b"".join([piece.data async for piece in pieces]) == DONE
    assert script.closed
    assert (len(flights), flights.find(b"k")) == (0, None)


async def test_leaving_ends_the_call_only_for_the_last(script: Script) -> None:
    flights, tasks = Flights(2**20, 0), Tasks()
    flight = flights.announce(b"k")
    first, second = flight.enter(), flight.enter()
    flight.launch(script.call, tasks.spawn)
    await flight.head()
    flight.leave(first)
    assert flights.find(b"k") is flight
    flight.leave(second)
    assert flights.find(b"k") is None, "whoever comes now must not join a call that is being ended"
    await flight.ended.wait()
    assert script.closed


async def test_what_breaks_the_call_reaches_every_reader(script: Script) -> None:
    flight, tasks = Flights(2**20, 0).announce(b"k"), Tasks()
    readers = [asyncio.create_task(read(flight, flight.enter())) for _ in range(2)]
    flight.launch(script.call, tasks.spawn)
    script.queue.put_nowait(event("a"))
    script.queue.put_nowait(UpstreamProtocolError("cut"))
    for reader in readers:
        with pytest.raises(UpstreamProtocolError):
            await reader


async def test_an_announced_call_that_is_not_made_fails_its_readers(script: Script) -> None:
    flights = Flights(2**20, 0)
    flight = flights.announce(b"k")
    waiting = asyncio.create_task(flight.head())
    flight.enter()
    await asyncio.sleep(0)
    flight.abandon()
    with pytest.raises(FlightFailed):
        await waiting
    assert flights.find(b"k") is None


async def test_the_newest_announcement_is_the_one_to_join(script: Script) -> None:
    flights = Flights(2**20, 0)
    first = flights.announce(b"k")
    second = flights.announce(b"k")
    assert flights.find(b"k") is second
    first.abandon()
    assert flights.find(b"k") is second
    second.abandon()
    assert (flights.find(b"k"), len(flights)) == (None, 0)


async def test_while_a_call_is_being_ended_the_next_one_can_be_joined(script: Script) -> None:
    flights, tasks = Flights(2**20, 0), Tasks()
    ending = flights.announce(b"k")
    reader = ending.enter()
    ending.launch(script.call, tasks.spawn)
    await ending.head()
    ending.leave(reader)
    following = flights.announce(b"k")
    await ending.ended.wait()
    assert flights.find(b"k") is following


async def test_a_call_that_is_cancelled_before_its_first_step_has_ended(script: Script) -> None:
    flights, tasks = Flights(2**20, 0), Tasks()
    flight = flights.announce(b"k")
    reader, other = flight.enter(), asyncio.create_task(flight.head())
    flight.launch(script.call, tasks.spawn)
    flight.leave(reader)
    async with asyncio.timeout(PATIENCE):
        await flight.ended.wait()
        with pytest.raises(ClientGone):
            await other
    assert (len(flights), len(tasks)) == (0, 0)


async def test_a_bug_in_the_call_fails_its_readers_in_words(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    flight, tasks = Flights(2**20, 0).announce(b"k"), Tasks()
    reading = asyncio.create_task(read(flight, flight.enter()))
    flight.launch(script.call, tasks.spawn)
    script.queue.put_nowait(ZeroDivisionError("canary"))
    with pytest.raises(InternalError):
        await reading
    assert "canary" not in caplog.text


async def test_past_the_window_nobody_joins_and_the_slowest_holds_the_upstream_back(script: Script) -> None:
    flights, tasks = Flights(window=1000, usage_wait=0), Tasks()
    flight = flights.announce(b"k")
    slow = flight.enter()
    flight.launch(script.call, tasks.spawn)
    big = event("x" * 300)
    for _ in range(50):
        script.queue.put_nowait(big)
    script.queue.put_nowait(DONE)
    script.queue.put_nowait(None)
    await until(lambda: flights.find(b"k") is None)
    for _ in range(100):
        await asyncio.sleep(0)
    assert script.taken <= 1000 + 2 * len(big), "a reader that reads nothing lets nothing more in"
    assert await read(flight, slow) == big * 50 + DONE


async def test_a_cancelled_reader_is_no_failure_of_the_call(script: Script) -> None:
    flight, tasks = Flights(2**20, 0).announce(b"k"), Tasks()
    flight.launch(script.call, tasks.spawn)
    gone = asyncio.create_task(read(flight, flight.enter()))
    stays = asyncio.create_task(read(flight, flight.enter()))
    await flight.head()
    gone.cancel()
    script.queue.put_nowait(DONE)
    script.queue.put_nowait(None)
    assert await stays == DONE
    assert flight._error is None or not isinstance(flight._error, ClientGone)


async def left_after(script: Script, first: bytes, wait: float) -> Flight:
    """A flight whose only reader has read `first`, and then left."""
    flight = Flights(2**20, usage_wait=wait).announce(b"k")
    reader = flight.enter()
    flight.launch(script.call, Tasks().spawn)
    script.queue.put_nowait(first)
    assert first.startswith((await anext(flight.pieces(reader))).data)
    flight.leave(reader)
    flight.leave(reader)
    assert not flight.joinable
    return flight


async def test_a_finished_answer_is_read_on_for_its_usage(script: Script) -> None:
    flight = await left_after(script, FINISHED, PATIENCE)
    script.queue.put_nowait(USAGE + b"data: [DONE]\n\n")
    script.queue.put_nowait(None)
    async with asyncio.timeout(PATIENCE):
        await flight.ended.wait()
    assert flight.incoming is not None
    assert flight.incoming.usage == Usage(3, 4)
    assert script.closed


async def test_an_answer_in_its_middle_ends_at_once(script: Script) -> None:
    flight = await left_after(script, event("a"), 10 * PATIENCE)
    async with asyncio.timeout(PATIENCE):
        await flight.ended.wait()
    assert script.closed


async def test_an_upstream_that_keeps_its_usage_is_cut(script: Script) -> None:
    flight = await left_after(script, FINISHED, 0.001)
    async with asyncio.timeout(PATIENCE):
        await flight.ended.wait()
    assert flight.incoming is not None
    assert flight.incoming.usage is None
    assert script.closed


async def test_what_is_known_already_is_not_waited_for(script: Script) -> None:
    flight = await left_after(script, FINISHED + USAGE, 10 * PATIENCE)
    async with asyncio.timeout(PATIENCE):
        await flight.ended.wait()
    assert script.closed
