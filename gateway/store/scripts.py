"""The Lua scripts: read from their files, sent once per connection, run by their hash."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import StoreReset, StoreUnavailable
from gateway.store.link import Connection
from gateway.store.wire import NoScript, ReplyError, Wire

_FOLDER = Path(__file__).parent / "lua"
_STRANGER = [-2]  # what a script answers whose caller expects another store


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    text: bytes = field(repr=False)
    sha: str


def _read(name: str, *libraries: str) -> Script:
    text = b"\n".join((_FOLDER / f"{part}.lua").read_bytes() for part in (*libraries, name))
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


RESERVE = _read("reserve", "lib")
DISPATCH = _read("dispatch", "lib")
SETTLE = _read("settle", "lib", "rows", "conclude")
RELEASE = _read("release", "lib", "rows", "conclude")
RENEW = _read("renew", "lib")
EXPIRE = _read("expire", "lib", "rows")
RESTORE = _read("restore", "lib")
STANDINGS = _read("standings", "lib")
CONTINUE_AT = _read("continue_at")
PUT = _read("put")
RECORD = _read("record")
ALL = (
    *(RESERVE, DISPATCH, SETTLE, RELEASE, RENEW, EXPIRE, RESTORE, STANDINGS),
    *(CONTINUE_AT, PUT, RECORD),
)


async def load(wire: Wire) -> None:
    """Give the server all scripts. Where that is forbidden, the first run of each brings its text along."""
    calls = [wire.call("SCRIPT", "LOAD", script.text) for script in ALL]
    for reply in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(reply, BaseException) and (not isinstance(reply, ReplyError) or reply.unready):
            raise reply


class Runner:
    """Runs scripts and plain commands over one link, and tells `on_error` the operation that failed."""

    def __init__(self, link: Connection, on_error: Callable[[str], None]) -> None:
        self._link = link
        self._on_error = on_error

    async def run(
        self, script: Script, keys: Sequence[str | bytes], args: Sequence[str | bytes | int]
    ) -> Any:
        """Its reply. Raises StoreUnavailable, or StoreReset where another store was expected."""
        try:
            try:
                reply = await self._link.call("EVALSHA", script.sha, len(keys), *keys, *args)
            except NoScript:
                reply = await self._link.call("EVAL", script.text, len(keys), *keys, *args)
            if reply == _STRANGER:
                raise StoreReset("The quota store has lost its counters, or is another one.")
        except StoreUnavailable:
            self._on_error(script.name)
            raise
        return reply

    def post(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> None:
        """Written when this returns; what became of it is only counted."""
        call = self._link.call("EVALSHA", script.sha, len(keys), *keys, *args)
        self._link.flush()

        def ended(future: asyncio.Future[Any]) -> None:
            if future.cancelled() or (error := future.exception()) is None:
                return
            if isinstance(error, NoScript):
                self.watch(script.name, self._link.call("EVAL", script.text, len(keys), *keys, *args))
            else:
                self._on_error(script.name)

        call.add_done_callback(ended)

    def send(self, operation: str, *command: str | bytes | int) -> asyncio.Future[Any]:
        """Queue a plain command."""
        return self.watch(operation, self._link.call(*command))

    def watch(self, operation: str, call: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """Count the call's failure under that name."""

        def ended(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is not None:
                self._on_error(operation)

        call.add_done_callback(ended)
        return call

    def __repr__(self) -> str:
        return f"<Runner on {self._link!r}>"
