"""The collaborators that the stages receive: `Gateway`, and its `Tasks` and `Clock`."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.alerts import Alerts
from gateway.away.journal import Journal
from gateway.away.share import LocalShare
from gateway.clients import ClientTable
from gateway.exchange import Outbound, Reply
from gateway.flights import Flights
from gateway.learned import Learned
from gateway.owners import Ownership
from gateway.policy.models import KNOWN
from gateway.policy.windows import Calendar
from gateway.pricing.book import PriceBook
from gateway.recent import Recent
from gateway.settings import Settings
from gateway.sockets.ends import Socket
from gateway.store.base import Answers, Holds
from gateway.succession import Succession
from gateway.telemetry import Telemetry
from gateway.tokens import TokenCounter
from gateway.work import Work

log = logging.getLogger("gateway")

_KEPT = 4096  # a bound, for memory: half a megabyte


class Clock:
    """Store time and monotonic time. Tests make one that stands still.

    `offset` is the store's clock less this machine's, in milliseconds: gateways with wrong clocks then agree
    with each other, and no script ever sees two clocks in one decision.
    """

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset

    def now(self) -> int:
        """Milliseconds since the epoch, by the store's clock."""
        return time.time_ns() // 1_000_000 + self.offset

    def monotonic(self) -> float:
        return time.perf_counter()


class Tasks:
    """The one door through which background work is started: named, referenced, drained at shutdown."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._begun: set[Work] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def begin(self, work: Coroutine[Any, Any, object], name: str) -> Work:
        """Run it at once, as far as it gets without waiting; the rest follows. `Work` says what it may do."""
        begun = Work(work, name, self._over)
        begun.go_on()
        if not begun.done():
            self._begun.add(begun)
        return begun

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _failed(task.get_name(), error)

    def _over(self, work: Work, error: BaseException | None) -> None:
        self._begun.discard(work)
        if isinstance(error, Exception):
            _failed(work.get_name(), error)

    async def drain(self, seconds: float) -> int:
        """Wait for what is running, then cancel the rest; how many were cancelled."""
        if running := self.running():
            await asyncio.wait(running, timeout=seconds)
        late = self.running()
        for one in late:
            one.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    def running(self) -> list[asyncio.Task[Any] | Work]:
        return [*self._running, *self._begun]

    def __len__(self) -> int:
        return len(self._running) + len(self._begun)

    def __repr__(self) -> str:
        return f"<Tasks {len(self)} running>"


def _failed(name: str, error: BaseException) -> None:
    # The type alone: a message or a traceback may carry what a client sent.
    log.error("background task failed", extra={"task": name, "error": type(error).__name__})


class Upstreams(Protocol):
    """The providers, as `forward` sees them. Implemented by `upstream.transport`."""

    def plan(self, model: str | None) -> Sequence[str]:
        """The names of the upstreams to try for this model, best first. Empty: nobody serves it."""
        ...

    async def open(self, name: str, request: Outbound) -> Reply:
        """Send the request and wait for the head of the answer.

        Raises `UpstreamUnreachable` only while nothing was sent, so that the next upstream may be tried;
        otherwise `UpstreamProtocolError` or `UpstreamTimeout`.
        """
        ...

    async def connect(self, name: str, request: Outbound) -> Socket:
        """Shake hands for a WebSocket; `request` has no body.

        Raises as `open` does, and `sockets.ends.Refused` with the upstream's own answer where it is no 101.
        """
        ...

    def status(self) -> list[dict[str, Any]]:
        """What was last seen of each upstream, for the admin API."""
        ...


@dataclass(slots=True)
class Gateway:
    """Everything that a stage may use. Made by `app`, given to `pipeline.serve` with each exchange."""

    settings: Settings
    clients: ClientTable
    holds: Holds
    answers: Answers | None  # None: the cache is off
    flights: Flights
    upstreams: Upstreams
    tokens: TokenCounter
    telemetry: Telemetry
    tasks: Tasks
    clock: Clock
    calendar: Calendar  # the one that budgets and the ledger's days follow
    prices: PriceBook
    learned: Learned
    share: LocalShare
    journal: Journal
    alerts: Alerts
    trusts_store: Callable[[], bool]  # whether it answers, and is the one whose counters are known
    owners: Ownership
    succession: Succession  # which model is sent for which, and which ends
    secret: bytes = field(repr=False)  # keys the cache: shared by all gateways on one store
    known_models: Collection[str] = KNOWN  # added up by name, whatever becomes of a request for one
    kept: Recent = field(default_factory=lambda: Recent(_KEPT))  # questions whose answers the cache had
    draining: bool = False
    open_holds: dict[str, str] = field(default_factory=dict)  # hold id → shard: whose leases are renewed
    serving: set[asyncio.Task[None]] = field(default_factory=set)  # requests under way, for draining
