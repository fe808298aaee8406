"""What arrives for a client that waits is written at once; everything else is left to the exchange's task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from gateway.errors import InternalError
from gateway.exchange import Downstream, Exchange, Reply
from gateway.flights import Flight, Flights
from gateway.incoming import Incoming
from gateway.policy.endpoints import find
from gateway.settings import Upstream
from gateway.sources import Direct, Shared
from gateway.straight import lay
from gateway.upstream.arrival import Arrival
from gateway.upstream.provider import Provider
from gateway.upstream.secrets import NO_SECRET
from gateway.web.lanedownstream import LaneDownstream
from tests.exchanges import ended

ENDPOINT, _ = find("POST", "/v1/chat/completions")


def event(text: str, reason: str = "null") -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":%b}]}\n\n' % (
        text.encode(),
        reason.encode(),
    )


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
END = event("", '"stop"') + b"data: [DONE]\n\n"


class Sink:
    """A client's transport."""

    def __init__(self) -> None:
        self.written = b""

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        self.written += data


class Client:
    """A client's connection."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.transport: asyncio.Transport | None = cast(asyncio.Transport, self.sink)
        self.writing_paused = False
        self.writable = asyncio.Event()
        self.response = LaneDownstream(self, "id", 5, True, lambda: False)
        self.turns = 0  # of the task that reads
        self.task: asyncio.Task[None] | None = None

    def cut_after(self, seconds: float) -> None: ...

    def force_close(self) -> None: ...

    @property
    def body(self) -> bytes:
        """What the client has had of its answer, without the framing."""
        _, _, chunks = self.sink.written.partition(b"\r\n\r\n")
        body = b""
        while chunks:
            size, _, rest = chunks.partition(b"\r\n")
            body, chunks = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return body

    async def read(self, exchange: Exchange, source: Direct) -> None:
        """As `deliver` does."""
        await self.response.start(200, (), None)
        async for data in source.pieces():
            self.turns += 1
            await self.response.write(data)
            lay(exchange, source)
        await self.response.finish()


class Asked:
    """An upstream's connection, and the answer that it brings."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        loop = asyncio.get_running_loop()
        provider = Provider(Upstream(name="up", base_url="http://up.example/v1"), NO_SECRET, lambda *_: None)
        self.arrival = arrival = Arrival(provider, loop, loop.time())
        arrival.source = self
        arrival.status = 200
        kind = {"content-type": "text/event-stream"}
        reply = Reply(200, kind, arrival, arrival.close, "up", arrival.hand_on)
        self.incoming = Incoming(ENDPOINT, reply, max_answer=2**20, max_entry=2**20, keep=lambda _: None)

    def go_on(self) -> None:
        self.calls.append("go on")

    def drop(self) -> None:
        self.calls.append("drop")

    def bring(self, data: bytes) -> None:
        self.arrival.parts.append(data)
        self.arrival.held += len(data)
        self.arrival.wake()

    async def fly(self, window: int = 2**20) -> Flight:
        async def call() -> Incoming:
            return self.incoming

        flight = Flights(window, 0).announce(b"k")
        flight.launch(call, lambda work, name: asyncio.get_running_loop().create_task(work, name=name))
        await flight.head()
        return flight


@asynccontextmanager
async def reading(
    asked: Asked, client: Client, flight: Flight | None, *, show: bool = False
) -> AsyncIterator[tuple[Exchange, asyncio.Task[None]]]:
    """A client that has had the first event, and waits for the next."""
    if not asked.incoming.stream:
        await asked.incoming.begin(asked_for_stream=True)
    exchange = ended(downstream=cast(Downstream, client.response), bytes_out=0)
    source = (
        Direct(asked.incoming, show)
        if flight is None
        else Shared(asked.incoming, show, flight, flight.enter())
    )
    client.task = task = asyncio.create_task(client.read(exchange, source))
    await settled()
    asked.bring(event("first"))
    await settled()
    yield exchange, task
    task.cancel()
    await asyncio.wait((task,))
    source.close()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture(params=["alone", "shared"])
async def waiting(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Asked, Client, Exchange]]:
    asked, client = Asked(), Client()
    await asked.incoming.begin(asked_for_stream=True)
    flight = await asked.fly() if request.param == "shared" else None
    async with reading(asked, client, flight) as (exchange, _):
        yield asked, client, exchange


Waiting = tuple[Asked, Client, Exchange]


async def test_an_event_is_written_before_anybody_is_woken(waiting: Waiting) -> None:
    asked, client, exchange = waiting
    asked.bring(event("a") + event("b"))
    assert client.body == event("first") + event("a") + event("b")
    assert exchange.bytes_out == len(event("a") + event("b"))
    assert asked.incoming.output_texts == ["firstab"]
    assert b"".join(asked.incoming.chunks or ()) == client.body
    await settled()
    assert client.turns == 1


async def test_half_an_event_waits_for_its_other_half(waiting: Waiting) -> None:
    asked, client, _ = waiting
    asked.bring(event("a")[:20])
    assert client.body == event("first")
    asked.bring(event("a")[20:])
    assert client.body == event("first") + event("a")


async def test_the_usage_is_read_and_not_shown(waiting: Waiting) -> None:
    asked, client, _ = waiting
    asked.bring(event("", '"stop"') + USAGE + b"data: [DONE]\n\n")
    assert client.body == event("first") + END
    assert asked.incoming.usage is not None
    assert asked.incoming.complete


async def test_it_is_shown_to_who_asked_for_it() -> None:
    asked, client = Asked(), Client()
    async with reading(asked, client, None, show=True):
        asked.bring(USAGE)
        assert client.body == event("first") + USAGE


async def test_the_end_is_left_to_the_reader(waiting: Waiting) -> None:
    asked, client, _ = waiting
    asked.arrival.parts.append(END)
    asked.arrival.end(None)
    assert client.body == event("first")
    await settled()
    assert client.body == event("first") + END
    assert client.response.ended


async def test_who_reads_slowly_is_waited_for_and_gets_all_in_order(waiting: Waiting) -> None:
    asked, client, _ = waiting
    client.writing_paused = True
    asked.bring(event("a"))
    assert client.body == event("first")
    await settled()
    assert client.body == event("first") + event("a"), "a transport keeps what does not fit"
    for text in "bcd":
        asked.bring(event(text))
    await settled()
    assert client.body == event("first") + event("a")
    client.writing_paused = False
    client.writable.set()
    await settled()
    asked.bring(event("e"))
    assert client.body == b"".join(map(event, ("first", "a", "b", "c", "d", "e")))


async def test_nothing_is_written_into_an_answer_that_has_ended(waiting: Waiting) -> None:
    """The connection may have begun its next answer, while this one's end is still read for its usage."""
    asked, client, _ = waiting
    client.response.ended = True
    asked.bring(event("a"))
    assert client.body == event("first")


async def test_who_has_left_is_not_written_to(waiting: Waiting) -> None:
    asked, client, _ = waiting
    client.transport = None
    asked.bring(event("a"))
    assert client.body == event("first")


async def test_what_cannot_be_read_is_the_readers_fault_to_bear(waiting: Waiting) -> None:
    asked, client, _ = waiting

    def broken(event: bytes) -> None:
        raise ZeroDivisionError

    asked.incoming.watch = broken
    asked.bring(event("a"))
    await settled()
    assert client.task is not None
    assert isinstance(client.task.exception(), ZeroDivisionError | InternalError)


async def test_everybody_who_reads_along_gets_all_of_it() -> None:
    asked, one, other = Asked(), Client(), Client()
    await asked.incoming.begin(asked_for_stream=True)
    flight = await asked.fly()
    async with reading(asked, one, flight):
        late = Shared(asked.incoming, False, flight, flight.enter())
        task = asyncio.create_task(other.read(ended(downstream=other.response), late))
        await settled()
        asked.bring(event("a"))
        assert one.body == event("first") + event("a")
        await settled()
        assert other.body == one.body
    await settled()
    asked.bring(event("b"))  # the first has left: the other reads on
    asked.bring(event("c"))
    await settled()
    assert other.body == b"".join(map(event, ("first", "a", "b", "c")))
    task.cancel()
    await asyncio.wait((task,))
    late.close()


async def test_what_has_outgrown_its_window_is_still_whole() -> None:
    asked, client = Asked(), Client()
    await asked.incoming.begin(asked_for_stream=True)
    flight = await asked.fly(window=300)
    async with reading(asked, client, flight):
        for number in range(50):
            asked.bring(event(str(number)))
            await settled()
        assert client.body == event("first") + b"".join(event(str(number)) for number in range(50))


async def test_a_client_that_can_only_be_waited_for_is_served_as_ever() -> None:
    asked, client = Asked(), Client()
    async with reading(asked, client, None):
        pass
    lay(ended(downstream=object()), Direct(asked.incoming, False))
    assert asked.incoming.taker is None
