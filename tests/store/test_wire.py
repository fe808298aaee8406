"""One connection on a socket pair: what it writes, what it reads, and how it ends."""

import asyncio
import gc
import itertools
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import StoreUnavailable
from gateway.store.wire import NoScript, ReplyError, Wire, error_of, failed, retry_ms
from tests.store.servers import until

GET = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"


class Line:
    """A wire, and the other end of it."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.far.setblocking(False)
        self.reasons: list[str] = []

    async def open(self, deadline: float = 60) -> Wire:
        loop = asyncio.get_running_loop()
        lost = self.reasons.append
        _, wire = await loop.create_connection(
            lambda: Wire(deadline, lambda wire, reason: lost(reason)), sock=self.near
        )
        return wire

    def close(self) -> None:
        self.near.close()
        self.far.close()

    def sent(self) -> bytes:
        try:
            return self.far.recv(65_536)
        except BlockingIOError:
            return b""


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


async def test_calls_of_one_tick_leave_in_one_write(line: Line) -> None:
    wire = await line.open()
    calls = [wire.call("GET", "a") for _ in range(3)]
    assert line.sent() == b""
    await asyncio.sleep(0)
    assert line.sent() == 3 * GET
    line.far.send(b"$1\r\nx\r\n$-1\r\n:7\r\n")
    assert await asyncio.gather(*calls) == [b"x", None, 7]
    wire.end("done")


async def test_flush_writes_before_it_returns(line: Line) -> None:
    wire = await line.open()
    first = wire.call("GET", "a")
    wire.flush()
    assert line.sent() == GET
    second = wire.call("GET", "a")
    await asyncio.sleep(0)
    assert line.sent() == GET
    line.far.send(b":1\r\n:2\r\n")
    assert [await first, await second] == [1, 2]
    wire.end("done")


async def test_the_reply_to_a_cancelled_call_goes_to_nobody(line: Line) -> None:
    wire = await line.open()
    calls = [wire.call("GET", "a") for _ in range(3)]
    calls[1].cancel()
    line.far.send(b":1\r\n:2\r\n:3\r\n")
    assert [await calls[0], await calls[2]] == [1, 3]
    wire.end("done")


async def test_no_reply_in_time_ends_the_connection_for_all_that_wait(line: Line) -> None:
    wire = await line.open(deadline=0.05)
    calls = [wire.call("GET", "a") for _ in range(3)]
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, StoreUnavailable)
    assert line.reasons == [wire.ended] == ["The quota store did not answer in time."]
    assert wire.call("GET", "a").done()


@pytest.mark.parametrize("loops", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_loop_that_was_busy_itself_blames_nobody(
    line: Line, loops: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """The call is overdue before it is even written."""

    async def ask() -> None:
        wire = await line.open(deadline=0.02)
        loop = asyncio.get_running_loop()
        loop.add_reader(line.far, lambda: line.sent() and line.far.send(b":1\r\n"))
        call = wire.call("GET", "a")
        time.sleep(0.06)  # noqa: ASYNC251
        assert await call == 1
        loop.remove_reader(line.far)
        wire.end("done")
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(ask())


async def test_a_wire_watches_again_after_a_rest(line: Line) -> None:
    wire = await line.open(deadline=0.03)
    for number in (1, 2):
        call = wire.call("GET", "a")
        line.far.send(b":%d\r\n" % number)
        assert await call == number
        await asyncio.sleep(0.05)  # longer than a deadline with nothing to wait for
    with pytest.raises(StoreUnavailable):
        await wire.call("GET", "a")


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b":1\r\n:2\r\n"])
async def test_what_is_no_reply_to_us_ends_the_connection(line: Line, nonsense: bytes) -> None:
    wire = await line.open()
    call = wire.call("GET", "a")
    line.far.send(nonsense)
    await asyncio.wait([call])
    await until(lambda: wire.ended)
    assert "Redis protocol" in wire.ended


async def test_a_connection_that_is_closed_fails_what_waits(line: Line) -> None:
    wire = await line.open()
    call = wire.call("GET", "a")
    line.far.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await call
    assert len(line.reasons) == 1


async def test_a_packed_command_ends_the_future_that_comes_with_it(line: Line) -> None:
    wire = await line.open()
    assert wire.idle
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    wire.send(GET, future)
    assert not wire.idle
    await asyncio.sleep(0)
    assert line.sent() == GET
    line.far.send(b":1\r\n")
    assert await future == 1
    assert wire.idle
    wire.end("done")
    late: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    wire.send(GET, late)
    assert isinstance(late.exception(), StoreUnavailable)


@pytest.mark.parametrize("taken", [True, False])
async def test_what_another_server_must_execute_may_be_taken_over(line: Line, taken: bool) -> None:
    seen: list[tuple[str, bytes, asyncio.Future[object]]] = []
    refused: list[str] = []

    def redirected(error: ReplyError, packed: bytes, future: asyncio.Future[object]) -> bool:
        seen.append((error.text, packed, future))
        return taken

    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(
        lambda: Wire(60, lambda wire, reason: None, lambda error: refused.append(error.kind), redirected),
        sock=line.near,
    )
    calls = [wire.call("GET", "a") for _ in range(4)]
    line.far.send(b"-MOVED 1 h:1\r\n-ASK 1 h:1\r\n-TRYAGAIN x\r\n:4\r\n")
    assert await calls[3] == 4
    assert seen == [("MOVED 1 h:1", GET, calls[0]), ("ASK 1 h:1", GET, calls[1])]
    assert [call.done() for call in calls] == [not taken, not taken, True, True]
    assert refused == (["TRYAGAIN"] if taken else ["MOVED", "ASK", "TRYAGAIN"])
    wire.end("done")


async def test_a_listener_may_end_the_connection(line: Line) -> None:
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(
        lambda: Wire(60, lambda wire, reason: None, lambda error: wire.end("demoted")), sock=line.near
    )
    calls = [wire.call("GET", "a") for _ in range(3)]
    line.far.send(b"-READONLY x\r\n:2\r\n:3\r\n")
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [getattr(result, "message", None) for result in results] == [
        "The quota store is read-only: it is a replica.",
        "demoted",
        "demoted",
    ]
    assert wire.ended == "demoted"


@given(st.floats(0, 2000))
def test_clients_are_told_to_come_back_after_the_next_attempt_and_not_together(earliest: float) -> None:
    times = [retry_ms(earliest) for _ in range(50)]
    assert all(max(1000, int(earliest)) <= each <= 2000 for each in times)
    assert earliest > 1900 or len(set(times)) > 5


async def test_failures_that_nobody_awaits_are_not_reported(line: Line) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    wire = await line.open()
    calls = [wire.call("GET", "a"), wire.call("GET", "a"), failed("down")]
    line.far.send(b"-ERR no\r\n")
    await asyncio.wait([calls[0]])
    wire.end("done")
    calls.clear()
    gc.collect()
    await asyncio.sleep(0)
    assert reported == []


def test_error_replies_say_their_kind_and_hide_their_text() -> None:
    assert isinstance(error_of("NOSCRIPT No matching script."), NoScript)
    error = error_of("WRONGTYPE Operation against sk-gw-secret")
    assert isinstance(error, ReplyError)
    assert (error.kind, error.unready) == ("WRONGTYPE", False)
    assert "sk-gw" not in error.message + str(error) + repr(error)
    assert all(error_of(f"{kind} text").unready for kind in ("LOADING", "READONLY", "OOM", "BUSY"))


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(-5, 5), st.binary(max_size=9)), max_size=9),
    st.lists(st.integers(1, 7), min_size=1),
)
def test_replies_are_read_the_same_however_they_are_cut(
    replies: list[bytes | int | None], sizes: list[int]
) -> None:
    async def read() -> list[bytes | int | None]:
        wire = Wire(60, lambda wire, reason: None)
        calls = [wire.call("GET", "a") for _ in replies]
        rest = b"".join(map(_encoded, replies))
        for size in itertools.cycle(sizes):
            wire.data_received(rest[:size])
            rest = rest[size:]
            if not rest:
                break
        wire.end("done")
        return [call.result() for call in calls]

    assert asyncio.run(read()) == replies


def _encoded(reply: bytes | int | None) -> bytes:
    if reply is None:
        return b"$-1\r\n"
    return b":%d\r\n" % reply if isinstance(reply, int) else b"$%d\r\n%s\r\n" % (len(reply), reply)
