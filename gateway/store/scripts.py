"""The Lua scripts: read from their files, sent once per connection, run by their hash."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from gateway.errors import StoreReset, StoreUnavailable
from gateway.store.link import Connection
from gateway.store.wire import NoScript, Receiver, ReplyError, Wire

_FOLDER = Path(__file__).parent / "lua"
STRANGER: Final = [-2]  # what a script answers whose caller expects another store


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    text: bytes = field(repr=False)
    sha: str


def _read(name: str, *libraries: str) -> Script:
    text = b"\n".join((_FOLDER / f"{part}.lua").read_bytes() for part in (*libraries, name))
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


_ENDS = ("lib", "rows", "conclude")
ENTER = RESERVE = _read("enter", *_ENDS, "claim")
SETTLE = RELEASE = _read("settle", *_ENDS)
DISPATCH = _read("dispatch", "lib")
RENEW = _read("renew", "lib")
EXPIRE = _read("expire", "lib", "rows")
RESTORE = _read("restore", "lib")
STANDINGS = _read("standings", "lib")
CONTINUE_AT = _read("continue_at")
PUT = _read("put")
RECORD = _read("record")
ALL = (
    *(ENTER, SETTLE, DISPATCH, RENEW, EXPIRE, RESTORE, STANDINGS),
    *(CONTINUE_AT, PUT, RECORD),
)


async def load(wire: Wire) -> None:
    """Give the server all scripts. Where that is forbidden, the first run of each brings its text along."""
    calls = [wire.call("SCRIPT", "LOAD", script.text) for script in ALL]
    for reply in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(reply, BaseException) and (not isinstance(reply, ReplyError) or reply.unready):
            raise reply


class Waiting(Receiver, Protocol):
    """Commands that gather until the turn of the loop ends. `send` hands them on."""

    def send(self) -> None: ...


class Runner:
    """Runs scripts and plain commands over one link, and tells `on_error` the operation that failed.

    What was queued is sent before anything that is asked for later.
    """

    def __init__(self, link: Connection, on_error: Callable[[str], None]) -> None:
        self._link = link
        self._waiting: list[Waiting] = []
        self.failed = on_error

    async def run(
        self, script: Script, keys: Sequence[str | bytes], args: Sequence[str | bytes | int]
    ) -> Any:
        """Its reply. Raises StoreUnavailable, or StoreReset where another store was expected."""
        self.hurry()
        try:
            try:
                reply = await self._link.call("EVALSHA", script.sha, len(keys), *keys, *args)
            except NoScript:
                reply = await self._link.call("EVAL", script.text, len(keys), *keys, *args)
            if reply == STRANGER:
                raise StoreReset("The quota store has lost its counters, or is another one.")
        except StoreUnavailable:
            self.failed(script.name)
            raise
        return reply

    def post(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> None:
        """Written when this returns; what became of it is only counted."""
        self.hurry()
        call = self._link.call("EVALSHA", script.sha, len(keys), *keys, *args)
        self._link.flush()

        def ended(future: asyncio.Future[Any]) -> None:
            if future.cancelled() or (error := future.exception()) is None:
                return
            if isinstance(error, NoScript):
                self.watch(script.name, self._link.call("EVAL", script.text, len(keys), *keys, *args))
            else:
                self.failed(script.name)

        call.add_done_callback(ended)

    def send(self, operation: str, *command: str | bytes | int) -> asyncio.Future[Any]:
        """Queue a plain command."""
        self.hurry()
        return self.glance(operation, *command)

    def glance(self, operation: str, *command: str | bytes | int) -> asyncio.Future[Any]:
        """As `send`, but what is queued may be executed later: it goes on growing."""
        return self.watch(operation, self._link.call(*command))

    def watch(self, operation: str, call: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """Count the call's failure under that name."""

        def ended(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is not None:
                self.failed(operation)

        call.add_done_callback(ended)
        return call

    def queue(self, waiting: Waiting) -> None:
        """It is sent when this turn of the loop ends, or sooner."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(waiting)

    def hurry(self) -> None:
        """Send what is queued, in order; it is written with what is called next."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.send()

    def flush(self) -> None:
        """Write what is queued now."""
        self.hurry()
        self._link.flush()

    def hand(
        self,
        receiver: Receiver,
        script: Script,
        keys: Sequence[str | bytes],
        args: Sequence[str | bytes | int],
    ) -> None:
        """Call a script by its hash; its reply, or what became of it, goes to the receiver."""
        self._link.hand(receiver, "EVALSHA", script.sha, len(keys), *keys, *args)

    def bring(
        self,
        receiver: Receiver,
        script: Script,
        keys: Sequence[str | bytes],
        args: Sequence[str | bytes | int],
    ) -> None:
        """`hand` for a script that the server has forgotten."""
        self._link.hand(receiver, "EVAL", script.text, len(keys), *keys, *args)

    def __repr__(self) -> str:
        return f"<Runner on {self._link!r}>"
