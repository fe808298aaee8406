"""All workers as the admin listener shows them: `web.processes.Processes` of a gateway that is several."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

import msgspec

from gateway.observability.merging import Merged
from gateway.runtime import Gateway
from gateway.store.base import Change
from gateway.workers.crew import Crew
from gateway.workers.member import Member
from gateway.workers.messages import Health, Heard, Topic

# A scrape takes less than 100 ms: a worker that is slower than this is shown by its last snapshot.
_SCRAPE_SECONDS: Final = 0.06
_ANSWER_SECONDS: Final = 1.0  # for anything else; whoever takes longer hears of a change by the store's push
_POLL_SECONDS: Final = 1.0  # what a worker has counted since is lost with it when it is killed

T = TypeVar("T")

_health = msgspec.msgpack.Decoder(list[Health]).decode
_heard = msgspec.msgpack.Decoder(list[Heard]).decode


class Together:
    """Made before the crew, which it listens to: `crew` is set then.

    `gateway` is the supervisor's own, whose registry is on the page too.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._merged = Merged(gateway.telemetry.registry)
        self._health: dict[str, Health] = {}  # of each upstream, the newest
        self.crew: Crew | None = None
        self.ready = False  # set when the workers have started, and what is to be said was said

    def answered(self, member: Member, topic: Topic, body: bytes) -> None:
        """A worker has answered, now or too late for who asked."""
        if topic == "metrics":
            with contextlib.suppress(msgspec.DecodeError, ValueError):  # the one before stays
                self._merged.update(member.name, body)

    def ended(self, member: Member) -> None:
        self._merged.retire(member.name)

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        await self._ask("metrics", _SCRAPE_SECONDS)
        return self._merged.render(accept)

    async def poll(self) -> None:
        """Keep what was counted, for ever."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await self._ask("metrics", _POLL_SECONDS)

    async def upstreams(self) -> list[dict[str, Any]]:
        in_flight: dict[str, int] = {}
        for body in await self._ask("upstreams", _ANSWER_SECONDS):
            for seen in _health(body):
                name = str(seen.status["name"])
                in_flight[name] = in_flight.get(name, 0) + int(seen.status.get("in_flight") or 0)
                known = self._health.get(name)
                if known is None or known.at <= seen.at:
                    self._health[name] = seen
        return [
            status
            | (self._health[name].status if (name := status["name"]) in self._health else {})
            | {"in_flight": in_flight.get(name, 0)}
            for status in self._gateway.upstreams.status()
        ]

    async def recall(self) -> None:
        """Have the supervisor's share know what the store has said of limits to the workers."""
        for body in await self._ask("heard", _ANSWER_SECONDS):
            self._gateway.share.learn((each.scope, each.text, each.used, each.at) for each in _heard(body))

    async def changed(self, change: Change) -> None:
        told = [(member.accepting, member.tell(change)) for member in self._members()]
        await _all((known for accepting, known in told if accepting), _ANSWER_SECONDS)

    def unready(self) -> Iterator[str]:
        if not self.ready:
            yield "the workers have not started yet"
        elif self.crew is not None and not self.crew.accepting:
            yield "no worker accepts"

    async def _ask(self, topic: Topic, seconds: float) -> list[bytes]:
        """What those answer who do so in time."""
        return await _all((member.ask(topic) for member in self._members() if member.accepting), seconds)

    def _members(self) -> list[Member]:
        return [] if self.crew is None else self.crew.members

    def __repr__(self) -> str:
        return f"<Together {self.crew!r}>"


async def _all(waiting: "Iterable[asyncio.Future[T]]", seconds: float) -> list[T]:
    futures = list(waiting)
    if futures:
        await asyncio.wait(futures, timeout=seconds)
    return [each.result() for each in futures if each.done() and not each.cancelled()]
