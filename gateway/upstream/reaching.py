"""How a connection to an upstream comes about: its name, its addresses, its certificate."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import aiohappyeyeballs
from yarl import URL

_P = TypeVar("_P", bound=asyncio.Protocol)

HEAD_START = 0.25  # seconds before the next address is tried beside the last (RFC 8305 section 8)


async def reach(url: URL, make: Callable[[], _P]) -> _P:
    """A protocol of `make` on a new connection to the host of `url`, whose name is looked up anew.

    Raises OSError (`socket.gaierror` for the name, `ssl.SSLError` for TLS) and UnicodeError.
    """
    loop = asyncio.get_running_loop()
    host, port = url.raw_host or "", url.port or 0
    # Not left to `create_connection`: uvloop's knows no happy eyeballs.
    connected = await aiohappyeyeballs.start_connection(
        await addresses(loop, host, port), happy_eyeballs_delay=HEAD_START, interleave=1, loop=loop
    )
    try:
        context = await tls_context(loop) if url.scheme == "https" else None
        _, protocol = await loop.create_connection(
            make, sock=connected, ssl=context, server_hostname=host.rstrip(".") if context else None
        )
    except BaseException:
        connected.close()
        raise
    return protocol


async def addresses(loop: asyncio.AbstractEventLoop, host: str, port: int) -> Any:
    """What `getaddrinfo` says; of an address, at once and without a thread."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


async def tls_context(loop: asyncio.AbstractEventLoop) -> ssl.SSLContext:
    """The one that trusts what this machine trusts. Reading that takes 30 ms: in a thread, once."""
    return await loop.run_in_executor(None, _trusting)


@cache
def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
