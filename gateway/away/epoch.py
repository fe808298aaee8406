"""Noticing that a store came back empty, or is another one: it gives nobody a fresh budget.

A store has a name, its epoch, which is gone when its counters are. A gateway remembers the name of the store
that it served from and takes no other, until somebody says so (`restoring.accept`). A store that was accepted
keeps its lineage beside its name: the name, and those before it, so that the other gateways follow.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable

from gateway.away.remembered import Memory, Remembered
from gateway.errors import StoreUnavailable
from gateway.store.base import Store

log = logging.getLogger("gateway")

LINEAGE = "lineage"  # the name of the secret that holds it
_INTERVAL = 1.0  # seconds between looks at the store's name
_GENERATIONS = 16  # names that are kept of a lineage
_BYTES = 8

_EMPTIED = (
    "the store was emptied: restore its backup, or accept the loss (POST /admin/v1/store/accept); "
    "until then nothing is charged to a budget, and requests that need one are refused"
)
_ANOTHER = (
    "the store is not the one that was served from: bring that one back, or accept this one "
    "(POST /admin/v1/store/accept); until then requests that need a budget are refused"
)


def fresh_name() -> str:
    return secrets.token_hex(_BYTES)


class EpochGuard:
    """`expected` is the name of the store that is served from; "" before the first look.

    `complaint` says in words why the store is not to be trusted. None: it is, or nobody knows better yet.
    """

    def __init__(self, store: Store, remembered: Remembered) -> None:
        """From now on `store` takes holds only if it is the one remembered, also before the first look."""
        self._store = store
        self._remembered = remembered
        self._admin = ""
        self._before: tuple[str, ...] = ()
        self._unsure = False  # there is a memory, and it cannot be read
        self._missed = False  # changes were passed over while the store was not trusted
        self._look = asyncio.Event()
        self.complaint: str | None = None
        self.expected = ""
        self._recall()

    @property
    def admin_digest(self) -> bytes | None:
        """SHA-256 of the admin key, as it was when the store was last trusted."""
        return bytes.fromhex(self._admin) or None

    def remember_admin(self, digest: bytes) -> None:
        if digest.hex() != self._admin:
            self._admin = digest.hex()
            self._write()

    async def check(self) -> bool:
        """Look at the store's name. True: it is the one expected, or the first. Raises StoreUnavailable."""
        first = not self.expected and not self._unsure
        found = await self._store.epoch(fresh_name() if first else "")
        if found and not self.expected:
            self._take(found, ())
        elif found and found != self.expected and self.expected in (before := await self._before_it(found)):
            self._take(found, before)
        elif found != self.expected or self._unsure:
            self._complain(_ANOTHER if found else _EMPTIED)
        if self.expected == found and found:
            self._trust()
        return self.complaint is None

    async def trusted(self) -> bool:
        """As `check`; a store that is away cannot be trusted now."""
        try:
            return await self.check()
        except StoreUnavailable:
            return False

    def noticed(self) -> None:
        """A call has raised StoreReset: look at once."""
        self._look.set()

    async def follow(self, again: Callable[[], Awaitable[None]]) -> None:
        """Look every second, for ever. `again` is awaited when the store can be trusted again."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), _INTERVAL)
            self._look.clear()
            with contextlib.suppress(StoreUnavailable):
                if await self.check() and self._missed:
                    await again()
                    self._missed = False

    async def succeed(self) -> str:
        """From now on the store, as it is, is the one: for this gateway, and for all that follow its lineage.

        Returns its name. Raises StoreUnavailable, and is then to be repeated.
        """
        found = await self._store.epoch()
        name = found or fresh_name()
        names = [self.expected, *self._before, *await self._lineage()]
        before = tuple(each for each in dict.fromkeys(names) if each not in ("", name))[:_GENERATIONS]
        await self._store.keys.put_secret(LINEAGE, "<".join([name, *before]).encode())
        name = await self._store.epoch(name)
        self._take(name, before)
        self._trust()
        return name

    async def _before_it(self, found: str) -> tuple[str, ...]:
        """The stores that this one was accepted after."""
        name, *before = await self._lineage() or [""]
        return tuple(before) if name == found else ()

    async def _lineage(self) -> list[str]:
        lineage = (await self._store.keys.secret(LINEAGE, b"")).decode()
        return lineage.split("<") if lineage else []

    def _recall(self) -> None:
        try:
            memory = self._remembered.read()
        except ValueError as error:
            self._unsure = True
            log.error("the store's epoch cannot be recalled", extra={"error": str(error)})
            self._store.expect(fresh_name())
            return
        if memory is not None:
            self.expected, self._admin, self._before = memory.epoch, memory.admin, memory.before
            self._store.expect(self.expected)

    def _take(self, name: str, before: tuple[str, ...]) -> None:
        if name != self.expected:
            self.expected, self._before = name, before
            self._write()
        self._unsure = False

    def _trust(self) -> None:
        self._store.expect(self.expected)
        if self.complaint is not None:
            log.warning("the store is trusted again")
        self.complaint = None

    def _complain(self, complaint: str) -> None:
        # Nor may one be taken whose name is to be found out: none is called like this.
        self._store.expect(self.expected or fresh_name())
        if self.complaint is None:
            log.error(complaint, extra={"code": "store_reset"})
        self.complaint, self._missed = complaint, True

    def _write(self) -> None:
        if self.expected:
            self._remembered.write(Memory(self.expected, self._admin, self._before))

    def __repr__(self) -> str:
        return f"<EpochGuard {self.expected or '-'}{' lost' if self.complaint else ''}>"
