"""A connection that only listens: one channel of the server's publish and subscribe.

Not redis-py's: cancelled while it connects, that goes on as if nothing had been said, and so would whoever
follows changes when the gateway shuts down.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import hiredis

from gateway.errors import StoreUnavailable
from gateway.store.address import Address, StoreMisconfigured
from gateway.store.dial import UNREACHABLE
from gateway.store.wire import ReplyError, error_of, pack

CONNECT = 1.0  # seconds until the server must have confirmed that it will tell us


class Subscription:
    """Open from `subscribe` until `close`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = hiredis.Reader(replyError=error_of)
        self._messages: deque[bytes] = deque()
        self._confirmed = False

    async def next(self, timeout: float) -> bytes | None:
        """The next message, or None after `timeout` seconds without one. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(timeout):
                while not self._messages:
                    await self._read()
        except TimeoutError:
            return None
        return self._messages.popleft()

    async def confirmed(self) -> None:
        """Wait for the server's word: what is published from now on is heard. Raises StoreUnavailable."""
        while not self._confirmed:
            await self._read()

    async def _read(self) -> None:
        try:
            data = await self._reader.read(65_536)
            self._parser.feed(data)
            while (reply := self._parser.gets()) is not False:
                self._take(reply)
        except (OSError, hiredis.ProtocolError):
            data = b""
        if not data:
            raise StoreUnavailable("The quota store closed the connection.")

    def _take(self, reply: object) -> None:
        if isinstance(reply, ReplyError):
            raise reply
        if isinstance(reply, list) and reply[0] == b"subscribe":
            self._confirmed = True
        elif isinstance(reply, list) and reply[0] == b"message":
            self._messages.append(reply[2])

    def close(self) -> None:
        self._writer.transport.abort()

    def __repr__(self) -> str:
        return f"<Subscription {'confirmed' if self._confirmed else 'asked for'}>"


class Speaker(Protocol):
    """What knows which servers pass on what is published."""

    async def addresses(self) -> Sequence[Address]: ...


async def subscribe(where: Speaker, channel: str) -> Subscription:
    """Listen at the first that confirms it: a cluster tells all of its nodes. Raises StoreUnavailable."""
    try:
        addresses = await where.addresses()
    except StoreMisconfigured:
        raise StoreUnavailable(UNREACHABLE) from None
    for address in addresses:
        try:
            async with asyncio.timeout(CONNECT):
                return await _subscribe(address, channel)
        except (OSError, TimeoutError, StoreUnavailable):
            continue
    raise StoreUnavailable(UNREACHABLE)


async def _subscribe(address: Address, channel: str) -> Subscription:
    if address.path:
        reader, writer = await asyncio.open_unix_connection(address.path)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=address.context())
    subscription = Subscription(reader, writer)
    try:
        for command in (*address.introduction(), ("SUBSCRIBE", channel)):
            writer.write(pack(command))
        await subscription.confirmed()
    except BaseException:
        subscription.close()
        raise
    return subscription
