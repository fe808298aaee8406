"""One worker, from its start to its end, as the supervisor sees it."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from gateway.store.base import Change
from gateway.workers.channel import Channel, supervisors
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

Line = Channel[FromWorker, ToWorker]
T = TypeVar("T")


class Member:
    """`name` says which process it is, and is no other's. `since` is when it began to accept (monotonic).

    `reason` is what it says of a start that failed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.since: float | None = None
        self.reason = ""
        self._line: Line | None = None
        self._early: list[ToWorker] = []
        self._asked: dict[Topic, asyncio.Future[bytes]] = {}
        self._changes: dict[int, asyncio.Future[None]] = {}
        self._numbered = 0

    @property
    def accepting(self) -> bool:
        return self.since is not None

    @property
    def served(self) -> float | None:
        """Seconds until now."""
        return None if self.since is None else time.monotonic() - self.since

    async def follow(
        self,
        end: socket.socket,
        serve: Serve,
        accepts: Callable[["Member"], None],
        answered: Callable[["Member", Topic, bytes], None],
    ) -> None:
        """Until it has ended. `accepts` is called when it serves, `answered` with all that it answers."""
        line = self._line = await supervisors(end)
        for message in (serve, *self._early):
            line.send(message)
        try:
            while (said := await line.receive()) is not None:
                if isinstance(said, Accepting):
                    self.since = time.monotonic()
                    accepts(self)
                elif isinstance(said, Answer):
                    answered(self, said.topic, said.body)
                    _resolve(self._asked.pop(said.topic, None), said.body)
                elif isinstance(said, Known):
                    _resolve(self._changes.pop(said.number, None), None)
                elif isinstance(said, Failed):
                    self.reason = said.reason
        finally:
            self.since = None
            line.close()
            for asked in self._asked.values():
                asked.cancel()
            for change in self._changes.values():
                change.cancel()

    def ask(self, topic: Topic) -> asyncio.Future[bytes]:
        """Its answer; cancelled if it ends before. Not to be cancelled by who asks: others may wait too."""
        waiting = self._asked.get(topic)
        if waiting is None:
            waiting = self._asked[topic] = asyncio.get_running_loop().create_future()
            self._send(Ask(topic))
        return waiting

    def tell(self, change: Change) -> asyncio.Future[None]:
        """Done when it knows the change; cancelled if it ends before."""
        self._numbered += 1
        waiting = self._changes[self._numbered] = asyncio.get_running_loop().create_future()
        self._send(Changed(self._numbered, change.kind, change.id))
        return waiting

    def drain(self) -> None:
        self._send(Drain())

    def hurry(self) -> None:
        self._send(Hurry())

    def _send(self, message: ToWorker) -> None:
        if self._line is None:
            self._early.append(message)
        else:
            self._line.send(message)

    def __repr__(self) -> str:
        return f"<Member {self.name} {'accepting' if self.accepting else 'not accepting'}>"


def _resolve(waiting: asyncio.Future[T] | None, value: T) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(value)
