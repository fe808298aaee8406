"""Whose is what the upstream keeps: asked before a request is passed on, recorded before its client knows.

What the store does not take is kept here until it does, and this process answers from that meanwhile.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from gateway.errors import StoreReset, StoreUnavailable, UpstreamProtocolError
from gateway.policy import listing
from gateway.policy.ownership import Named, lifetime
from gateway.store.base import Owners

log = logging.getLogger("gateway")

Spawn = Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]
Fetch = Callable[[str], Awaitable[bytes | None]]  # the next page of a list, by its query
Hide = Callable[[str], str]  # somebody else's id → what may be shown of it

_AGAIN_SECONDS = 1.0
_MOST_WAITING = 100_000  # objects: about 30 MB
_MOST_PAGES = 20  # that are asked for on behalf of one that would be empty
_AT_ONCE = 500  # objects in one write


_Fact = tuple[str, int]  # who made it, and for how long (ms) that is remembered


class Ownership:
    """The gateway's own view of `store.base.Owners`. `trusted`: whether the store is the one that it was."""

    def __init__(self, owners: Owners, spawn: Spawn, trusted: Callable[[], bool]) -> None:
        self._owners = owners
        self._spawn = spawn
        self._trusted = trusted
        self._waiting: dict[str, _Fact] = {}  # by id: what the store does not know yet
        self._writer: asyncio.Task[Any] | None = None

    async def stranger(self, owner: str, named: Sequence[Named]) -> Named | None:
        """The first of these objects that is not this owner's; None: all are.

        Raises StoreUnavailable: whose it is cannot be asked, so nobody gets it.
        """
        mine = await self.mine(owner, [each.id for each in named])
        return next((each for each in named if each.id not in mine), None)

    async def others(self, owner: str, ids: Sequence[str]) -> set[str]:
        """Those of the ids that somebody else is known to have made. Raises StoreUnavailable."""
        owners = await self._owners.owners(ids) if ids else []
        if None in owners and not self._trusted():
            raise StoreReset("The store that knew whose this is has lost its memory, or is another one.")
        return {
            each
            for each, kept in zip(ids, map(self._kept, ids, owners), strict=True)
            if kept not in (None, owner)
        }

    def _kept(self, id: str, stored: str | None) -> str | None:
        return self._waiting[id][0] if stored is None and id in self._waiting else stored

    async def mine(self, owner: str, ids: Iterable[str]) -> set[str]:
        """Those of the ids that are this owner's. Raises StoreUnavailable."""
        asked = list(dict.fromkeys(ids))
        mine = {each for each in asked if each in self._waiting and self._waiting[each][0] == owner}
        left = [each for each in asked if each not in mine]
        owners = await self._owners.owners(left) if left else []
        if None in owners and not self._trusted():
            raise StoreReset("The store that knew whose this is has lost its memory, or is another one.")
        return mine | {each for each, kept in zip(left, owners, strict=True) if kept == owner}

    async def record(self, owner: str, named: Iterable[Named]) -> None:
        """These objects are this owner's from now on, unless they are somebody's already. Never raises.

        When it returns the store knows, or this process does until the store does.
        """
        facts = {each.id: (owner, lifetime(each.kind)) for each in named}
        try:
            await self._write(facts)
        except StoreUnavailable:
            self._keep(facts)

    async def forget(self, named: Named) -> None:
        """It is no more. Never raises: a name that leads nowhere does no harm."""
        self._waiting.pop(named.id, None)
        with contextlib.suppress(StoreUnavailable):
            await self._owners.forget([named.id])

    async def page(self, owner: str, body: bytes, query: str, fetch: Fetch, hide: Hide) -> bytes:
        """A list's page with this owner's items alone; of others' ids, what `hide` makes of them.

        Where none is left and there is more, the next pages are fetched until one has some. `query` is that
        of the request; `fetch` is given the next page's and answers with its body, or None where the
        upstream does not answer with one: what is there so far is then the answer. Raises StoreUnavailable,
        and UpstreamProtocolError for an answer that is no list.
        """
        backwards = listing.backwards(query)
        page = _read(body)
        for left in reversed(range(_MOST_PAGES)):
            mine = await self.mine(owner, filter(None, page.ids))
            after = page.more(backwards=backwards)
            if mine or after is None or not left:
                break
            following = await fetch(listing.turned(query, after, backwards=backwards))
            if following is None:
                break
            page, mine = _read(following), set()
        return page.of(mine, hide)

    async def close(self) -> None:
        """A last attempt to tell the store what it does not know yet."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        with contextlib.suppress(StoreUnavailable):
            await self._write_some()
        if self._waiting:
            log.error("what was made while the store was away has no owner", extra={"count": len(self)})

    async def _write(self, facts: Mapping[str, _Fact]) -> None:
        groups: dict[_Fact, list[str]] = {}
        for each, fact in facts.items():
            groups.setdefault(fact, []).append(each)
        calls = (self._owners.record(owner, ids, ttl) for (owner, ttl), ids in groups.items())
        await asyncio.gather(*calls)

    def _keep(self, facts: Mapping[str, _Fact]) -> None:
        for each, fact in facts.items():
            self._waiting.setdefault(each, fact)
        if (excess := len(self._waiting) - _MOST_WAITING) > 0:
            log.error("too much is made while the store is away: some of it has no owner")
            for each in list(itertools.islice(self._waiting, excess)):
                del self._waiting[each]
        if self._writer is None or self._writer.done():
            self._writer = self._spawn(self._write_until_done(), "record owners")

    async def _write_until_done(self) -> None:
        while self._waiting:
            await asyncio.sleep(_AGAIN_SECONDS)
            with contextlib.suppress(StoreUnavailable):
                await self._write_some()

    async def _write_some(self) -> None:
        """All that waits, so much at once. What is written waits no more."""
        while self._waiting:
            facts = dict(itertools.islice(self._waiting.items(), _AT_ONCE))
            await self._write(facts)
            for each in facts:
                self._waiting.pop(each, None)

    def __len__(self) -> int:
        """How many objects the store does not know yet."""
        return len(self._waiting)

    def __repr__(self) -> str:
        return f"<Ownership {len(self)} to be recorded>"


def _read(body: bytes) -> listing.Page:
    page = listing.read(body)
    if page is None:
        raise UpstreamProtocolError("The upstream's answer is not the list that was asked for.")
    return page
