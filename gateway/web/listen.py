"""The two listeners, bound and served."""

import asyncio
import functools
import os
import socket
from collections.abc import Callable

from gateway.runtime import Gateway
from gateway.settings import Settings
from gateway.store.base import Store
from gateway.web.admin import Backing, Digest, admin
from gateway.web.call import Handler
from gateway.web.lane import Enter
from gateway.web.proxy import enter
from gateway.web.public import public
from gateway.web.server import Server, require_c_parser

BACKLOG = 1024
_GOODBYE_SECONDS = 0.2  # for handlers that were cut; whoever may finish was waited for before


class Listener:
    """One bound socket, and the connections that came by it."""

    def __init__(self, bound: socket.socket, server: Server) -> None:
        self.port: int = bound.getsockname()[1]
        self._socket = bound
        self._server = server
        self._accepting: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._accepting = await loop.create_server(self._server, sock=self._socket, backlog=BACKLOG)

    def stop_accepting(self) -> None:
        """Connections that are open stay, and are served."""
        if self._accepting is not None:
            self._accepting.close()
            self._accepting = None

    async def close(self) -> None:
        """End every connection, idle or not."""
        self.stop_accepting()
        self._server.pre_shutdown()
        await self._server.shutdown(_GOODBYE_SECONDS)
        self._socket.close()


class Listeners:
    """Public and admin, each on the port that it got (which tells, where 0 was asked for)."""

    def __init__(self, public: Listener, admin: Listener) -> None:
        self._public = public
        self._admin = admin

    @property
    def public_port(self) -> int:
        return self._public.port

    @property
    def admin_port(self) -> int:
        return self._admin.port

    def stop_accepting(self) -> None:
        """No new clients. The admin listener goes on: readiness and metrics are asked for to the end."""
        self._public.stop_accepting()

    async def close(self) -> None:
        await self._public.close()
        await self._admin.close()


def bind_both(settings: Settings) -> tuple[socket.socket, socket.socket]:
    """The public socket and the admin's. Raises OSError in words for an address that cannot be had."""
    front = bind(settings.server.host, settings.server.port, "server")
    try:
        return front, bind(settings.admin.host, settings.admin.port, "admin")
    except OSError:
        front.close()
        raise


async def listen(
    gateway: Gateway,
    store: Store,
    admin_digest: Digest,
    backing: Backing,
    sockets: tuple[socket.socket, socket.socket] | None = None,
) -> Listeners:
    """Serve on both sockets, which are bound here unless they come from `bind_both`.

    Raises OSError as that does, and RuntimeError where aiohttp's C parser is missing.
    """
    front, back = sockets or bind_both(gateway.settings)
    for_the_admin = await listen_to_admin(gateway, store, admin_digest, backing, back)
    return Listeners(await listen_to_all(gateway, store, front), for_the_admin)


async def listen_to_all(gateway: Gateway, store: Store, bound: socket.socket) -> Listener:
    """The public listener. Raises RuntimeError as `listen`."""
    return await _started(
        bound,
        gateway,
        public(gateway, store.ledger),
        lambda: gateway.draining,
        functools.partial(enter, gateway),
    )


async def listen_to_admin(
    gateway: Gateway, store: Store, digest: Digest, backing: Backing, bound: socket.socket
) -> Listener:
    """The admin listener. Raises RuntimeError as `listen`."""
    return await _started(bound, gateway, admin(gateway, store, digest, backing), lambda: False)


async def _started(
    bound: socket.socket,
    gateway: Gateway,
    handler: Handler,
    closing: Callable[[], bool],
    enter: Enter | None = None,
) -> Listener:
    require_c_parser()
    server = Server(handler, gateway.settings.server, gateway.telemetry.refused, closing, enter)
    listener = Listener(bound, server)
    await listener.start()
    return listener


def bind(host: str, port: int, section: str) -> socket.socket:
    """A socket on the first address of `host`, IPv4 before IPv6. `section` is named in the complaint.

    Without SO_REUSEPORT: a second gateway on the same port gets a refusal, not half of the requests.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        # What asyncio and getaddrinfo say goes on about their arguments.
        number = error.errno or 0  # negative: one of getaddrinfo's own
        reason = os.strerror(number) if number > 0 else error.strerror or "it cannot be had"
        raise OSError(f"cannot listen on {host}:{port} ([{section}] host and port): {reason}") from None
