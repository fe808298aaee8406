"""How a connection begins: the line, the credentials, the database."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.store.address import Address, StoreMisconfigured
from gateway.store.wire import ReplyError, Wire

UNREACHABLE = "The quota store is not reachable."


async def dial(address: Address, context: ssl.SSLContext | None, protocol: Callable[[], Wire]) -> Wire:
    """A line to that server, nothing said yet. Raises OSError."""
    loop = asyncio.get_running_loop()
    if address.path:
        return (await loop.create_unix_connection(protocol, address.path))[1]
    return (await loop.create_connection(protocol, address.host, address.port, ssl=context))[1]


async def introduce(wire: Wire, address: Address) -> None:
    """Credentials and database, in one write. Raises StoreMisconfigured where they are refused."""
    commands = (*address.introduction(), ("PING",))
    replies = await asyncio.gather(*(wire.call(*command) for command in commands), return_exceptions=True)
    for reply in replies:
        if isinstance(reply, ReplyError) and not reply.unready:
            raise StoreMisconfigured(_refusal(reply, address))
        if isinstance(reply, BaseException):
            raise reply


async def ask(address: Address, *commands: tuple[str, ...], patience: float) -> list[Any]:
    """The replies to these commands, ReplyError among them, over a connection made for them alone.

    `patience` is seconds for all of it. Raises StoreUnavailable, and StoreMisconfigured where the server
    refuses the credentials.
    """
    wire: Wire | None = None
    try:
        async with asyncio.timeout(patience):
            wire = await dial(address, address.context(), lambda: Wire(patience, lambda wire, reason: None))
            await introduce(wire, address)
            replies = await asyncio.gather(*(wire.call(*each) for each in commands), return_exceptions=True)
    except (OSError, TimeoutError):
        raise StoreUnavailable(UNREACHABLE) from None
    finally:
        if wire is not None:
            wire.end("The question has been asked.")
    for reply in replies:
        if isinstance(reply, StoreUnavailable) and not isinstance(reply, ReplyError):
            raise reply
    return replies


def _refusal(reply: ReplyError, address: Address) -> str:
    if reply.kind == "NOAUTH":
        return f"the store at {address} asks for a password: put it into its URL"
    if reply.kind in ("WRONGPASS", "NOPERM") or "AUTH" in reply.text:
        return f"the store at {address} refuses the user or the password in its URL ({reply.kind})"
    return f"the store at {address} refuses the connection: {reply.text[:200]}"
