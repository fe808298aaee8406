"""What could not be told to the store, kept on disk until it can be, across the death of the process."""

import asyncio
import contextlib
import logging
import os
from collections import deque
from pathlib import Path

import msgspec

from gateway.away.frames import Pending
from gateway.away.log import Log
from gateway.away.logfile import LogFile

__all__ = ["Journal", "Pending"]

log = logging.getLogger("gateway")

MOST_IN_MEMORY = 100_000  # entries, of about 2 kB: where the disk takes nothing
_ASIDE = "damaged"


class Journal:
    """One file for each process in one folder, and those of dead processes that nobody has adopted yet.

    It holds what the ledger holds and which limits were claimed: no prompt, no answer, no key's secret.
    `durable`: whether what is noted now would outlive the process. `damaged`: lines that could not be read
    and were put aside; `lost`: entries for which there was no room at all.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: Log | None = None
        self._inherited: list[Log] = []
        self._memory: deque[Pending] = deque()
        self._last: Log | None = None  # where `oldest` came from; None: from memory
        self._written = asyncio.Event()
        self.durable = True
        self.damaged = 0
        self.lost = 0
        self.replayed = 0

    @classmethod
    def open(cls, folder: Path) -> "Journal":
        """Adopts what dead processes left. A folder that cannot be written to is logged, and no failure."""
        journal = cls(folder)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            journal._own = Log(LogFile.create(folder), journal._put_aside)
        except OSError as error:
            journal._failed(error)
        journal.adopt()
        return journal

    def intend(self, pending: Pending) -> None:
        """An upstream is asked, and the store did not hear of it.

        If this process dies before the hold is kept or forgotten, it is charged as `pending` says.
        """
        if self._own is None:
            return
        try:
            self._own.note(msgspec.structs.replace(pending, dispatched=True))
            self._noted()
        except OSError as error:
            self._failed(error)

    def keep(self, pending: Pending) -> None:
        """Note the end of a hold. The kernel has it when this returns; see `sync_forever` for the disk."""
        pending = msgspec.structs.replace(pending, dispatched=False)
        try:
            if self._own is not None:
                self._own.note(pending)
                self._noted()
                return
        except OSError as error:
            self._failed(error)
        if len(self._memory) < MOST_IN_MEMORY:
            self._memory.append(pending)
            return
        if not self.lost:
            log.error(
                "the journal is full: what was used from now on is not charged", extra={"error": "full"}
            )
        self.lost += 1

    def forget(self, hold: str) -> None:
        """The store has heard itself how this hold ended. Nothing happens to one that was never intended."""
        if self._own is None:
            return
        try:
            self._own.forget(hold)
        except OSError as error:
            self._failed(error)

    def adopt(self) -> int:
        """Take over what dead processes left in the folder; of how many."""
        before = len(self._inherited)
        try:
            for path in sorted(self._folder.glob("*.log")):
                file = None if self._is_mine(path) else LogFile.adopt(path)
                if file is not None:
                    self._inherit(Log.inherit(file, self._put_aside))
        except OSError as error:
            log.error("what a dead process left cannot be read", extra={"error": type(error).__name__})
        return len(self._inherited) - before

    def oldest(self) -> Pending | None:
        """What is to be told to the store next; the same until it is `done`."""
        self._last = None
        found = self._memory[0] if self._memory else None
        for each in self._logs():
            pending = each.oldest()
            if pending is not None and (found is None or pending.at < found.at):
                found, self._last = pending, each
        return found

    def done(self) -> None:
        """The store has been told of the oldest, or must not be."""
        self.replayed += 1
        if self._last is None:
            self._memory.popleft()
            return
        try:
            self._last.done()
        except OSError as error:
            self._failed(error)
        if self._last in self._inherited and self._last.empty:
            self._inherited.remove(self._last)
            _finish(self._last)

    def set_aside(self) -> None:
        """The store will never take the oldest: keep it for people to look at."""
        pending = self.oldest()
        if pending is not None:
            self._put_aside(msgspec.json.encode(pending))
            self.done()

    def __len__(self) -> int:
        """How many entries the store has to be told of."""
        return len(self._memory) + sum(each.waiting for each in self._logs())

    async def sync_forever(self) -> None:
        """Have what is noted written to the disk soon after: all that has gathered at once, off the loop."""
        while True:
            await self._written.wait()
            self._written.clear()
            if self._own is not None:
                try:
                    await asyncio.to_thread(self._own.file.sync)
                except OSError as error:
                    self._failed(error)

    def close(self) -> None:
        """What waits stays on the disk, for the next process."""
        for each in self._logs():
            if each.empty:
                each.file.remove()
            else:
                with contextlib.suppress(OSError):
                    each.file.sync()
            each.file.close()
        self._own, self._inherited = None, []
        if self._memory:
            log.error(
                "what was used and could not be noted is not charged", extra={"count": len(self._memory)}
            )

    def _logs(self) -> list[Log]:
        return self._inherited if self._own is None else [*self._inherited, self._own]

    def _is_mine(self, path: Path) -> bool:
        return any(each.file.path == path for each in self._logs())

    def _inherit(self, left: Log) -> None:
        if left.empty:
            _finish(left)
            return
        log.warning("the journal of a process that died is replayed", extra={"count": left.waiting})
        self._inherited.append(left)

    def _noted(self) -> None:
        self.durable = True
        self._written.set()

    def _failed(self, error: OSError) -> None:
        if self.durable:
            log.error(
                "the journal cannot be written: what is used while the store is away is kept in memory only",
                extra={"path": str(self._folder), "error": os.strerror(error.errno or 0)},
            )
        self.durable = False

    def _put_aside(self, line: bytes) -> None:
        if not self.damaged:
            log.error(
                "the journal has lines that cannot be used; they are put aside",
                extra={"path": str(self._folder / _ASIDE)},
            )
        self.damaged += 1
        with contextlib.suppress(OSError):
            aside = os.open(self._folder / _ASIDE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(aside, line + b"\n")
            finally:
                os.close(aside)

    def __repr__(self) -> str:
        return f"<Journal {len(self)} waiting, {'on disk' if self.durable else 'in memory'}>"


def _finish(left: Log) -> None:
    left.file.remove()
    left.file.close()
