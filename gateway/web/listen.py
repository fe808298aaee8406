"""The two listeners, bound and served."""

import asyncio
import os
import socket
from collections.abc import Callable

from gateway.runtime import Gateway
from gateway.settings import Settings
from gateway.store.base import Store
from gateway.web.admin import Backing, Digest, admin
from gateway.web.call import Handler
from gateway.web.public import public
from gateway.web.server import Server, require_c_parser

_BACKLOG = 1024
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
        self._accepting = await loop.create_server(self._server, sock=self._socket, backlog=_BACKLOG)

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
    require_c_parser()
    front, back = sockets or bind_both(gateway.settings)
    open_to_all = Listener(front, _server(gateway, public(gateway, store.ledger), lambda: gateway.draining))
    for_the_admin = Listener(
        back, _server(gateway, admin(gateway, store, admin_digest, backing), lambda: False)
    )
    await for_the_admin.start()
    await open_to_all.start()
    return Listeners(open_to_all, for_the_admin)


def _server(gateway: Gateway, handler: Handler, closing: Callable[[], bool]) -> Server:
    return Server(handler, gateway.settings.server, gateway.telemetry.refused, closing)


def bind(host: str, port: int, section: str) -> socket.socket:
    """A socket on the first address of `host`, IPv4 before IPv6. `section` is named in the complaint.

    Without SO_REUSEPORT: a second gateway on the same port gets a refusal, not half of the requests.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        # What asyncio and getaddrinfo say goes on about their arguments.
        number = error.errno or 0  # negative: one of getaddrinfo's own
        reason = os.strerror(number) if number > 0 else error.strerror or "it cannot be had"
        raise OSError(f"cannot listen on {host}:{port} ([{section}] host and port): {reason}") from None
