"""A webhook is told when shares of a budget are reached: each once per window, by one process of many.

Nothing here is waited for: the line says whose limits have moved, and a loop of its own looks at them.
"""

import asyncio
import contextlib
import functools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from gateway.errors import StoreUnavailable
from gateway.policy.alerting import Notice, due, payload
from gateway.policy.records import Client, Kind, Limit, Standing, Window
from gateway.policy.windows import Calendar
from gateway.settings import Alerts as Settings
from gateway.store.base import Holds, Marks

Send = Callable[[str, bytes], Awaitable[str]]
Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]

INTERVAL_SECONDS: Final = 1.0
REST_MS: Final = 300_000  # after a notice that nobody took, before it is tried again
_MOST_TELLING: Final = 32  # limits that are being told about at a time; the others wait
_MOST_TOLD: Final = 10_000  # what is forgotten is asked of the store once more


class Alerts:
    """`send` is `Webhook.send`; None: nobody is to be told, and nothing is done.

    `calendar` is the one that budgets follow, `now` the store's clock in ms, `spawn` that of `runtime.Tasks`.
    `on_outcome` is told what became of each notice.
    """

    def __init__(
        self,
        settings: Settings,
        holds: Holds,
        marks: Marks,
        calendar: Calendar,
        now: Callable[[], int],
        send: Send | None,
        spawn: Spawn,
        on_outcome: Callable[[str], None],
    ) -> None:
        self._shares = sorted(set(settings.at))
        self._holds = holds
        self._marks = marks
        self._calendar = calendar
        self._now = now
        self._send = send
        self._spawn = spawn
        self._on_outcome = on_outcome
        self._touched: dict[str, Client] = {}
        self._pending: dict[str, Notice] = {}  # by name: to be told, or being told
        self._told: dict[str, None] = {}  # names, the latest last
        self._mine: set[str] = set()  # names that this process has marked and not told yet
        self._telling: dict[str, asyncio.Task[None]] = {}  # by limit
        self._rests: dict[str, int] = {}  # limit → ms before which nothing is tried

    def touch(self, client: Client) -> None:
        """Something was charged to this client. Cheap: it is looked at later."""
        if self._send is not None:
            self._touched[client.id] = client

    def refused(self, client: Client, standings: Iterable[Standing]) -> None:
        """A request was refused. For the budgets that are used up that counts as all of them."""
        if self._send is None:
            return
        for standing in standings:
            if standing.limit.kind is Kind.BUDGET and not standing.fits:
                self._note(standing, self._now())
        self.touch(client)

    async def run(self) -> None:
        """Look once a second, for ever. A store that is away is asked again."""
        while self._send is not None:
            await asyncio.sleep(INTERVAL_SECONDS)
            with contextlib.suppress(StoreUnavailable):
                await self.look()

    async def look(self) -> None:
        """Find out what was reached by those who were touched, and begin to tell it.

        Raises StoreUnavailable; then they are asked about again.
        """
        touched, self._touched = self._touched, {}
        now = self._now()
        try:
            for shard, limits in self._worth_asking(touched.values(), now).items():
                for standing in await self._holds.standings(shard, list(limits.values()), now):
                    self._note(standing, now)
        except BaseException:
            self._touched = touched | self._touched
            raise
        finally:
            self._begin(now)

    async def close(self, seconds: float = 5.0) -> None:
        """A last look, and so long for what is under way. What is not told by then is left to others."""
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(seconds):
                if self._send is not None:
                    await self.look()
                await self.settled()
        for task in self._telling.values():
            task.cancel()
        await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is being told."""
        while self._telling:
            await asyncio.wait(list(self._telling.values()))

    def _worth_asking(self, clients: Iterable[Client], now: int) -> dict[str, dict[str, Limit]]:
        """Shard → the budgets of these clients, by id, of which something is still to be told."""
        found: dict[str, dict[str, Limit]] = defaultdict(dict)
        for client in clients:
            for limit in client.limits:
                if limit.kind is Kind.BUDGET and self._open_shares(limit, now):
                    found[client.shard][limit.id] = limit
        return found

    def _open_shares(self, limit: Limit, now: int) -> list[int]:
        span = self._calendar.span(limit.window or Window.TOTAL, now)
        return [share for share in self._shares if not self._known(Notice(limit, share, 0, span))]

    def _known(self, notice: Notice) -> bool:
        return notice.name in self._told or notice.name in self._pending

    def _note(self, standing: Standing, now: int) -> None:
        span = self._calendar.span(standing.limit.window or Window.TOTAL, now)
        for notice in due(standing, span, self._shares):
            if not self._known(notice):
                self._pending[notice.name] = notice

    def _begin(self, now: int) -> None:
        """One task for each limit, so that its shares arrive in order."""
        waiting: dict[str, list[Notice]] = defaultdict(list)
        for notice in list(self._pending.values()):
            limit = notice.limit.id
            if limit in self._telling:
                continue
            if notice.stale(now):
                del self._pending[notice.name]
            elif self._rests.get(limit, 0) <= now:
                waiting[limit].append(notice)
        for limit, notices in waiting.items():
            if len(self._telling) >= _MOST_TELLING:
                break
            self._rests[limit] = now + REST_MS
            ordered = sorted(notices, key=lambda notice: (notice.span.start or 0, notice.share))
            task = self._telling[limit] = self._spawn(self._tell(limit, ordered), "tell a budget's share")
            task.add_done_callback(functools.partial(self._ended, limit))

    async def _tell(self, limit: str, notices: Sequence[Notice]) -> None:
        """Leaves the limit resting where a notice was not taken."""
        with contextlib.suppress(StoreUnavailable):  # the next look tries again
            for notice in notices:
                if not await self._told_once(notice):
                    return
                del self._pending[notice.name]
                self._remember(notice)
        del self._rests[limit]

    def _ended(self, limit: str, task: object) -> None:
        del self._telling[limit]

    async def _told_once(self, notice: Notice) -> bool:
        """Whether it was told, by this process or another."""
        name = notice.name
        if name not in self._mine and not await self._marks.mark(name, notice.ttl(self._now())):
            return True
        self._mine.add(name)
        assert self._send is not None
        try:
            outcome = await self._send(notice.id, payload(notice, self._now()))
        except BaseException:
            await self._give_back(name)
            raise
        self._on_outcome(outcome)
        if outcome != "sent":
            await self._give_back(name)
            return False
        self._mine.discard(name)
        return True

    async def _give_back(self, name: str) -> None:
        """Somebody else may tell it. Where the store is away, this process alone remembers that."""
        with contextlib.suppress(StoreUnavailable):
            await self._marks.unmark(name)
            self._mine.discard(name)

    def _remember(self, notice: Notice) -> None:
        self._told[notice.name] = None
        while len(self._told) > _MOST_TOLD:
            del self._told[next(iter(self._told))]

    def __repr__(self) -> str:
        return f"<Alerts {len(self._pending)} to tell, {len(self._telling)} being told>"
