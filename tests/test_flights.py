"""One call, many readers: live, from the first byte, and never ended by one reader's leaving."""

import asyncio
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import InternalError, UpstreamProtocolError
from gateway.exchange import ClientGone, Reply
from gateway.flights import Flight, FlightFailed, Flights, Reader
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
        self.kept: list[Incoming] | None = None  # what was offered to the cache, where it is recorded for it

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """A reader that is cancelled in here has taken nothing, as of a real upstream."""
        if (item := await self.queue.get()) is None:
            raise StopAsyncIteration
        if isinstance(item, Exception):
            raise item
        self.taken += len(item)
        return item

    async def call(self) -> Incoming:
        reply = Reply(200, {"content-type": "text/event-stream"}, self, self.close, "up")
        keep = None if self.kept is None else self.kept.append
        incoming = Incoming(ENDPOINT, reply, max_answer=2**20, max_entry=2**20, keep=keep)
        await incoming.begin(asked_for_stream=True)
        return incoming

    def close(self) -> None:
        self.closed = True


async def read(flight: Flight, reader: Reader) -> bytes:
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
    slow, fast = flight.enter(), flight.enter()
    flight.launch(script.call, tasks.spawn)
    big = event("x" * 300)
    for _ in range(50):
        script.queue.put_nowait(big)
    script.queue.put_nowait(DONE)
    script.queue.put_nowait(None)
    greedy = asyncio.create_task(read(flight, fast))
    await until(lambda: flights.find(b"k") is None)
    for _ in range(100):
        await asyncio.sleep(0)
    assert script.taken <= 1000 + 2 * len(big), "a reader that reads nothing lets nothing more in"
    assert await read(flight, slow) == big * 50 + DONE
    assert await greedy == big * 50 + DONE


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


async def test_one_reader_alone_reads_without_a_task_of_the_flights(script: Script) -> None:
    flight, tasks = Flights(2**20, 0).announce(b"k"), Tasks()
    reader = flight.enter()
    flight.launch(script.call, tasks.spawn)
    await flight.head()
    await asyncio.sleep(0)
    assert len(tasks) == 0
    script.queue.put_nowait(event("a") + DONE)
    script.queue.put_nowait(None)
    assert await read(flight, reader) == event("a") + DONE
    assert (flight.over, script.closed) == (True, True)


async def test_whoever_waits_for_the_upstream_may_leave_the_rest_to_another(script: Script) -> None:
    flight, tasks = Flights(2**20, 0).announce(b"k"), Tasks()
    flight.launch(script.call, tasks.spawn)
    texts = [event(str(number)) for number in range(8)]
    readers = [flight.enter() for _ in texts]
    reading = [asyncio.create_task(read(flight, reader)) for reader in readers]
    await flight.head()
    for text, task, reader in zip(texts, reading[:-1], readers[:-1], strict=False):
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        flight.leave(reader)
        script.queue.put_nowait(text)
    script.queue.put_nowait(DONE)
    script.queue.put_nowait(None)
    async with asyncio.timeout(PATIENCE):
        assert await reading[-1] == b"".join(texts[:-1]) + DONE


async def test_who_reads_on_for_its_usage_is_ended_with_its_process(script: Script) -> None:
    flight, tasks = Flights(2**20, usage_wait=10 * PATIENCE).announce(b"k"), Tasks()
    reader = flight.enter()
    flight.launch(script.call, tasks.spawn)
    script.queue.put_nowait(FINISHED)
    await anext(flight.pieces(reader))
    flight.leave(reader)
    await tasks.drain(0)
    assert (flight.over, script.closed) == (True, True)


steps = st.one_of(
    st.tuples(st.just("join"), st.just(0)),
    st.tuples(st.sampled_from(["read", "cancel", "leave", "turns"]), st.integers(0, 5)),
    st.tuples(st.just("feed"), st.integers(0, 40)),
)


class Client:
    """One who reads as the test says, and may stop in the middle of it."""

    def __init__(self, flight: Flight) -> None:
        self.flight = flight
        self.reader = flight.enter()
        self.had = b""
        self.gone = False
        self.task: asyncio.Task[None] | None = None

    async def one(self) -> None:
        piece = await self.flight.next(self.reader)
        self.had += piece or b""

    async def rest(self) -> None:
        while (piece := await self.flight.next(self.reader)) is not None:
            self.had += piece

    def read(self) -> None:
        if not self.gone and (self.task is None or self.task.done()):
            self.task = asyncio.create_task(self.one())

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    async def leave(self) -> None:
        await self.stop()
        self.gone = True
        self.flight.leave(self.reader)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=40), st.sampled_from([60, 300, 2**20]), st.booleans())
async def test_whatever_readers_do_those_who_stay_get_every_byte(
    script_of: list[tuple[str, int]], window: int, recorded: bool
) -> None:
    script, flights, tasks = Script(), Flights(window, usage_wait=0), Tasks()
    script.kept = [] if recorded else None
    flight = flights.announce(b"k")
    clients = [Client(flight)]
    flight.launch(script.call, tasks.spawn)
    await flight.head()
    whole = b""
    for what, number in script_of:
        client = clients[number % len(clients)]
        if what == "join" and flights.find(b"k") is flight:
            clients.append(Client(flight))
        elif what == "feed":
            whole += event("x" * number)
            script.queue.put_nowait(event("x" * number))
        elif what == "read":
            client.read()
        elif what == "cancel":
            await client.stop()
        elif what == "leave" and sum(not each.gone for each in clients) > 1:
            await client.leave()
        else:
            for _ in range(number):
                await asyncio.sleep(0)
        assert all(whole.startswith(each.had) for each in clients)
        assert flight._size <= window + 200 or flight._dropped == 0
    script.queue.put_nowait(DONE)
    script.queue.put_nowait(None)
    staying = [client for client in clients if not client.gone]
    for client in staying:
        await client.stop()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(client.rest() for client in staying))
    assert {client.had for client in staying} == {whole + DONE}
    for client in staying:
        flight.leave(client.reader)
    assert (flight.over, script.closed, len(flights)) == (True, True, 0)
    assert script.kept is None or len(script.kept) == 1


@settings(max_examples=60, deadline=None)
@given(turns=st.integers(0, 12), followers=st.integers(0, 3), parts=st.integers(1, 4))
async def test_the_leader_may_leave_at_any_moment(turns: int, followers: int, parts: int) -> None:
    script, flights, tasks = Script(), Flights(2**20, usage_wait=0), Tasks()
    flight = flights.announce(b"k")
    whole = b"".join(event(str(number)) for number in range(parts)) + DONE

    async def lead() -> None:
        reader = flight.enter()
        try:
            flight.launch(script.call, tasks.spawn)
            await flight.head()
            await read(flight, reader)
        finally:
            flight.leave(reader)

    async def follow(reader: Reader) -> bytes:
        try:
            await flight.head()
            return await read(flight, reader)
        finally:
            flight.leave(reader)

    leader = asyncio.create_task(lead())
    following = [asyncio.create_task(follow(flight.enter())) for _ in range(followers)]
    for turn in range(turns):
        if turn % 3 == 2:
            script.queue.put_nowait(whole[: len(whole) // 2] if turn == 2 else b"")
        await asyncio.sleep(0)
    leader.cancel()
    await asyncio.wait([leader])
    script.queue.put_nowait(whole[len(whole) // 2 :] if turns > 2 else whole)
    script.queue.put_nowait(None)
    async with asyncio.timeout(PATIENCE):
        if following and flight.launched:
            assert await asyncio.gather(*following) == [whole] * followers
        else:
            flight.abandon()
            await asyncio.gather(*following, return_exceptions=True)
        await flight.ended.wait()
    assert len(flights) == 0
