"""The workers: as many as there shall be, each replaced when it dies."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.runtime import Tasks
from gateway.workers.member import Member
from gateway.workers.messages import Serve, Topic
from gateway.workers.nursery import Died, Kill, Nursery, Order, Shut, Start
from gateway.workers.pauses import Pauses
from gateway.workers.port import SharedPort

log = logging.getLogger("gateway")

ATTEMPTS: Final = 3  # starts that come to nothing, with nobody serving, before the gateway ends
_GONE = "the process that workers are forked from has ended"

Answered = Callable[[Member, Topic, bytes], None]
Ended = Callable[[Member], None]


@dataclass(slots=True)
class Place:
    """Where there is one worker at a time."""

    number: int
    starts: int = 0
    member: Member | None = None
    following: "asyncio.Task[None] | None" = None
    pauses: Pauses = field(default_factory=Pauses)
    waiting: "asyncio.Task[None] | None" = None

    @property
    def tried(self) -> bool:
        accepting = self.member is not None and self.member.accepting
        return accepting or self.pauses.failures >= ATTEMPTS


class Crew:
    """`serve` is what each worker is told first. `answered` gets all that workers answer, `ended` is told of
    each that has ended, after its last answer.

    `failed` is done when the workers cannot go on at all; its result says why, for people.
    """

    def __init__(
        self,
        nursery: Nursery,
        port: SharedPort,
        count: int,
        serve: Serve,
        tasks: Tasks,
        answered: Answered,
        ended: Ended,
    ) -> None:
        self._nursery = nursery
        self._port = port
        self._places = [Place(number) for number in range(count)]
        self._serve = serve
        self._tasks = tasks
        self._answered = answered
        self._ended = ended
        self._stopping = False
        self._moved = asyncio.Event()
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.restarts = 0

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._nursery.fileno(), self._reported)
        for place in self._places:
            self._start(place)

    @property
    def members(self) -> list[Member]:
        """Those that serve, and those that are starting."""
        return [place.member for place in self._places if place.member is not None]

    @property
    def accepting(self) -> list[Member]:
        return [member for member in self.members if member.accepting]

    async def started(self) -> None:
        """Wait until all accept, as far as they can; or until they have `failed`."""
        while not self.failed.done() and not all(place.tried for place in self._places):
            await self._change()

    def drain(self) -> None:
        """Nobody accepts any more, nobody is replaced, and who has served to the end ends."""
        self._stopping = True
        for place in self._places:
            if place.waiting is not None:
                place.waiting.cancel()
            self._tell(Shut(place.number))
        for member in self.members:
            member.drain()

    def hurry(self) -> None:
        for member in self.members:
            member.hurry()

    async def ended(self) -> None:
        """Wait until no worker is left."""
        while self.members and not self.failed.done():
            await self._change()

    def kill(self) -> None:
        for place in self._places:
            self._tell(Kill(place.number))

    def close(self) -> None:
        """Whoever is left is killed."""
        self._stopping = True
        asyncio.get_running_loop().remove_reader(self._nursery.fileno())
        self._nursery.close()

    def _start(self, place: Place) -> None:
        ours, theirs = socket.socketpair()
        order = Start(place.number, int(self._port.family), self._port.address)
        first = self._port.first()
        place.starts += 1
        member = place.member = Member(f"{place.number}.{place.starts}")
        place.following = self._tasks.spawn(
            member.follow(ours, self._serve, self._accepts, self._answered), "follow a worker"
        )
        self._tell(order, (theirs,) if first is None else (theirs, first))

    def _tell(self, order: Order, sockets: tuple[socket.socket, ...] = ()) -> None:
        try:
            self._nursery.tell(order, sockets)
        except OSError:
            self._fail(_GONE)

    def _accepts(self, member: Member) -> None:
        log.info("a worker serves", extra={"worker": member.name})
        self._moved.set()

    def _reported(self) -> None:
        report = self._nursery.report()
        if report is None:
            asyncio.get_running_loop().remove_reader(self._nursery.fileno())
            self._lose_all()
        elif isinstance(report, Died):
            self._tasks.spawn(self._died(report), "a worker's end")

    def _lose_all(self) -> None:
        for place in self._places:
            if place.member is not None:
                self._ended(place.member)
            place.member = None
        self._fail(_GONE)

    async def _died(self, report: Died) -> None:
        place = self._places[report.number]
        member, following = place.member, place.following
        if member is None or following is None:  # the nursery has ended meanwhile
            return
        served = member.served
        await following  # its last words are under way
        self._ended(member)
        place.member = place.following = None
        self._moved.set()
        if self._stopping:
            return
        pause = place.pauses.after(served, killed=report.status == -signal.SIGKILL)
        log.error(
            "a worker ended; another takes its place",
            extra={"worker": member.name, "status": report.status, "seconds": pause},
        )
        if place.pauses.failures >= ATTEMPTS and not self.accepting:
            self._fail(member.reason or f"a worker ended with status {report.status} before it could serve")
        place.waiting = self._tasks.spawn(self._replace(place, pause), "replace a worker")

    async def _replace(self, place: Place, pause: float) -> None:
        if pause:
            self._tell(Shut(place.number))
            await asyncio.sleep(pause)
        place.waiting = None
        if not self._stopping and not self.failed.done():
            self.restarts += 1
            self._start(place)

    def _fail(self, reason: str) -> None:
        if not self._stopping and not self.failed.done():
            self.failed.set_result(reason)
        self._moved.set()

    async def _change(self) -> None:
        await self._moved.wait()
        self._moved.clear()

    def __repr__(self) -> str:
        return f"<Crew {len(self.accepting)} of {len(self._places)} accept, {self.restarts} restarts>"
