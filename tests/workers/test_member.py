"""A worker as the supervisor sees it, over a real channel, with the test at its other end."""

import asyncio
import socket

from gateway.store.base import Change
from gateway.workers.channel import Channel, workers
from gateway.workers.member import Member
from gateway.workers.messages import (
    Accepting,
    Answer,
    Ask,
    Changed,
    Drain,
    Failed,
    FromWorker,
    Hurry,
    Known,
    Serve,
    Topic,
    ToWorker,
)
from tests.waiting import until


class Followed:
    """A member that is followed, the other end of its line, and what was heard."""

    def __init__(self) -> None:
        self.member = Member("0.1")
        self.heard: list[tuple[str, Topic, bytes]] = []
        self.accepted: list[Member] = []

    async def begin(self) -> Channel[ToWorker, FromWorker]:
        ours, theirs = socket.socketpair()
        self.following = asyncio.create_task(
            self.member.follow(
                ours,
                Serve("store"),
                self.accepted.append,
                lambda member, topic, body: self.heard.append((member.name, topic, body)),
            )
        )
        return await workers(theirs)


async def test_it_is_told_first_where_the_store_is_then_what_was_said_too_early() -> None:
    followed = Followed()
    followed.member.drain()
    line = await followed.begin()
    followed.member.hurry()
    assert [await line.receive() for _ in range(3)] == [Serve("store"), Drain(), Hurry()]
    await line.flush()
    await followed.following


async def test_who_asks_at_once_is_answered_at_once_and_a_late_answer_is_not_lost() -> None:
    followed = Followed()
    line = await followed.begin()
    line.send(Accepting())
    await until(lambda: followed.accepted == [followed.member])
    assert followed.member.accepting
    asked = [followed.member.ask("metrics") for _ in range(3)]
    assert [await line.receive(), await line.receive()] == [Serve("store"), Ask("metrics")]
    await asyncio.wait(asked, timeout=0)
    line.send(Answer("metrics", b"page"))
    assert await asyncio.gather(*asked) == [b"page"] * 3
    assert followed.heard == [("0.1", "metrics", b"page")]
    told = followed.member.tell(Change("key", "a"))
    assert await line.receive() == Changed(1, "key", "a")
    line.send(Known(1))
    await told
    await line.flush()
    await followed.following


async def test_nobody_waits_for_the_dead() -> None:
    followed = Followed()
    line = await followed.begin()
    line.send(Accepting())
    line.send(Failed("no such host"))
    await until(lambda: followed.member.reason != "")
    waiting = [followed.member.ask("heard"), followed.member.tell(Change("all"))]
    await line.flush()
    await followed.following
    assert all(each.cancelled() for each in waiting)
    assert followed.member.reason == "no such host"
    assert not followed.member.accepting
    assert followed.member.served is None
