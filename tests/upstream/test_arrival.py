"""An answer's two sides: a connection that brings, a reader that takes."""

import asyncio

import pytest

from gateway.errors import UpstreamProtocolError
from gateway.exchange import Outbound
from gateway.settings import Upstream
from gateway.upstream import failures
from gateway.upstream.arrival import READ_BUFFER, Arrival
from gateway.upstream.provider import Provider
from gateway.upstream.secrets import NO_SECRET


class Bringing:
    """A connection, as its answer sees it."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str]] = []
        settings = Upstream(name="up", base_url="http://up.example/v1")
        self.provider = Provider(settings, NO_SECRET, lambda *what: self.outcomes.append(what))
        loop = asyncio.get_running_loop()
        self.arrival = Arrival(self.provider, loop, loop.time())
        self.arrival.source = self
        self.calls: list[str] = []

    def go_on(self) -> None:
        self.calls.append("go on")

    def drop(self) -> None:
        self.calls.append("drop")

    def bring(self, *parts: bytes, status: int = 200) -> None:
        if not self.arrival.status:
            self.arrival.status = status
            self.arrival.since = None
        self.arrival.parts += parts
        self.arrival.held += sum(map(len, parts))
        self.arrival.wake()


async def test_what_is_there_is_handed_over_in_one_piece() -> None:
    source = Bringing()
    source.bring(b"a", b"b", b"c")
    assert await anext(source.arrival) == b"abc"
    source.bring(b"d")
    source.arrival.end(None)
    assert [data async for data in source.arrival] == [b"d"]
    assert [data async for data in source.arrival] == []
    assert (source.calls, source.outcomes) == ([], [("up", "ok")])


async def test_the_upstreams_time_runs_only_while_somebody_waits() -> None:
    source = Bringing()
    arrival = source.arrival
    assert timed(arrival)
    assert arrival.patience() == 600
    source.bring()
    assert not timed(arrival)
    assert arrival.patience() == 120
    reading = asyncio.create_task(anext(arrival))
    await asyncio.sleep(0)
    assert timed(arrival)
    source.bring(b"a")
    assert await reading == b"a"
    assert not timed(arrival)


def timed(arrival: Arrival) -> bool:
    return arrival.since is not None


async def test_a_reader_who_falls_behind_says_when_he_has_caught_up() -> None:
    source = Bringing()
    source.bring(b"x" * (READ_BUFFER + 1))
    assert source.calls == []
    await anext(source.arrival)
    assert source.calls == ["go on"]
    source.bring(b"x")
    await anext(source.arrival)
    assert source.calls == ["go on"]


async def test_cancelled_and_woken_in_the_same_turn_nothing_is_lost() -> None:
    source = Bringing()
    source.bring()
    reading = asyncio.create_task(anext(source.arrival))
    await asyncio.sleep(0)
    source.bring(b"kept")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not timed(source.arrival)
    assert await anext(source.arrival) == b"kept"


async def test_a_break_comes_after_what_was_there_and_once() -> None:
    source = Bringing()
    source.bring(b"a")
    source.arrival.end(failures.CUT)
    assert await anext(source.arrival) == b"a"
    with pytest.raises(UpstreamProtocolError):
        await anext(source.arrival)
    assert [data async for data in source.arrival] == []
    source.arrival.close()
    assert source.outcomes == [("up", "protocol_error")]


async def test_closed_before_its_end_it_is_dropped_and_empty() -> None:
    source = Bringing()
    source.bring(b"a")
    source.arrival.close()
    source.arrival.close()
    assert [data async for data in source.arrival] == []
    assert (source.calls, source.outcomes) == (["drop"], [("up", "ok")])


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, None), (418, None), (101, "upgrade"), (302, "redirect"), (304, "unchanged"), (600, "garbage")],
)
async def test_what_is_no_answer_is_dropped(status: int, kind: str | None) -> None:
    source = Bringing()
    source.bring(status=status)
    failure = source.arrival.refused(Outbound("GET", "/x", (), b""))
    assert (failure.kind if failure else None) == kind
    assert source.calls == ([] if kind is None else ["drop"])


async def test_its_repr() -> None:
    source = Bringing()
    assert repr(source.arrival) == "<Arrival asked from up, coming>"
    source.bring(b"secret")
    source.arrival.end(None)
    assert repr(source.arrival) == "<Arrival 200 from up, over>"
