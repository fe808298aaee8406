"""What the admin listener shows of all workers, with the test at the other ends of their lines."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import msgspec
from prometheus_client import CollectorRegistry, Counter

from gateway.observability.snapshot import snapshot
from gateway.policy.quota import parse_limit
from gateway.store.base import Change
from gateway.workers.channel import Channel, workers
from gateway.workers.crew import Crew
from gateway.workers.member import Member
from gateway.workers.messages import (
    Accepting,
    Answer,
    Ask,
    Changed,
    FromWorker,
    Health,
    Heard,
    Known,
    Serve,
    ToWorker,
)
from gateway.workers.together import Together
from tests.conftest import Start
from tests.running import Running
from tests.waiting import until

Line = Channel[ToWorker, FromWorker]


class Far:
    """A worker's end: it answers as it is told to, or not at all."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.answers: dict[str, bytes] = {}
        self.heard: list[ToWorker] = []
        self.knows = True

    async def serve(self) -> None:
        while (message := await self.line.receive()) is not None:
            self.heard.append(message)
            if isinstance(message, Serve):
                self.line.send(Accepting())
            elif isinstance(message, Ask) and message.topic in self.answers:
                self.line.send(Answer(message.topic, self.answers[message.topic]))
            elif isinstance(message, Changed) and self.knows:
                self.line.send(Known(message.number))


@contextlib.asynccontextmanager
async def together(gateway: Running, count: int) -> AsyncIterator[tuple[Together, list[Far], list[Member]]]:
    made, fars, members, tasks = Together(gateway.gateway), [], [], []
    for number in range(count):
        ours, theirs = socket.socketpair()
        member = Member(f"{number}.1")
        far = Far(await workers(theirs))
        tasks += [
            asyncio.create_task(member.follow(ours, Serve(""), lambda member: None, made.answered)),
            asyncio.create_task(far.serve()),
        ]
        members.append(member)
        fars.append(far)
    made.crew = cast(
        Crew, SimpleNamespace(members=members, accepting=members)
    )  # a list of them is all that is looked at
    await until(lambda: all(member.accepting for member in members))
    try:
        yield made, fars, members
    finally:
        for far in fars:
            far.line.close()
        await asyncio.gather(*tasks)


def counted(value: int) -> bytes:
    registry = CollectorRegistry()
    Counter("toy", "What is counted.", registry=registry).inc(value)
    return snapshot(registry)


async def test_one_page_is_the_sum_and_whoever_does_not_answer_is_shown_as_he_was(gateway: Running) -> None:
    async with together(gateway, 2) as (shown, fars, members):
        for far, value in zip(fars, (3, 4), strict=True):
            far.answers["metrics"] = counted(value)
        page, content_type = await shown.metrics("")
        assert b"\ntoy_total 7.0\n" in page
        assert b"gateway_build_info{" in page  # the supervisor's own
        assert content_type.startswith("text/plain")
        del fars[0].answers["metrics"]
        fars[1].answers["metrics"] = counted(10)
        assert b"\ntoy_total 13.0\n" in (await shown.metrics(""))[0]
        shown.ended(members[0])
        assert b"\ntoy_total 13.0\n" in (await shown.metrics(""))[0]


async def test_an_upstream_is_as_whoever_saw_it_last_saw_it(gateway: Running) -> None:
    def seen(at: float, outcome: str, busy: int) -> bytes:
        status = {"name": "scripted", "up": outcome == "ok", "last_outcome": outcome, "in_flight": busy}
        return msgspec.msgpack.encode([Health(at, {**status})])

    async with together(gateway, 2) as (shown, fars, _):
        fars[0].answers["upstreams"] = seen(5.0, "ok", 2)
        fars[1].answers["upstreams"] = seen(7.0, "timeout", 1)
        (first,) = await shown.upstreams()
        assert (first["up"], first["last_outcome"], first["in_flight"]) == (False, "timeout", 3)
        fars[0].answers["upstreams"] = seen(9.0, "ok", 0)
        fars[1].answers["upstreams"] = seen(0.0, "", 0)  # another in its place: it has asked nobody yet
        (second,) = await shown.upstreams()
        assert (second["up"], second["last_outcome"], second["in_flight"]) == (True, "ok", 0)
        assert second["base_url"] == first["base_url"]


async def test_a_change_is_known_to_all_before_it_is_answered(gateway: Running) -> None:
    async with together(gateway, 3) as (shown, fars, _):
        await shown.changed(Change("key", "a"))
        assert all(far.heard[-1] == Changed(1, "key", "a") for far in fars)


async def test_what_the_store_said_of_budgets_is_recalled_from_whoever_heard_it_last(start: Start) -> None:
    gateway = await start()
    limit = parse_limit("$5/day", "key:a")
    now = gateway.gateway.clock.now()
    async with together(gateway, 2) as (shown, fars, _):
        for far, used, at in zip(fars, (10, 30), (now - 1, now), strict=True):
            far.answers["heard"] = msgspec.msgpack.encode([Heard("key:a", limit.text, used, at)])
        await shown.recall()
        assert gateway.gateway.share.last_used(limit, now) == 30


async def test_it_is_ready_when_it_is_said_and_while_somebody_accepts(gateway: Running) -> None:
    async with together(gateway, 1) as (shown, _, members):
        assert list(shown.unready()) == ["the workers have not started yet"]
        shown.ready = True
        assert list(shown.unready()) == []
        shown.crew = cast(Crew, SimpleNamespace(members=members, accepting=[]))
        assert list(shown.unready()) == ["no worker accepts"]
