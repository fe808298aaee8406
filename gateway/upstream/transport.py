"""The one way to the providers: a request goes out, the head of its answer comes back."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import aiohttp

from gateway.errors import UpstreamUnreachable
from gateway.exchange import Outbound, Reply
from gateway.policy import routing
from gateway.settings import Upstream
from gateway.sockets.ends import Refused
from gateway.upstream import asking, session, websocket
from gateway.upstream.connections import Connections
from gateway.upstream.failures import Failure
from gateway.upstream.provider import Provider
from gateway.upstream.secrets import NO_SECRET, Secret
from gateway.upstream.target import target
from gateway.upstream.websocket import UpstreamSocket

# Shorter than the 5 s after which llama.cpp, uvicorn and Node close an idle connection: a POST that meets a
# closing connection cannot be sent again (see `failures.NO_HEAD`), so we let go first. A fresh TLS
# handshake costs less.
KEEPALIVE = 4.0


class Transport:
    """`runtime.Upstreams`, over connections of its own, and over aiohttp's client for what these cannot.

    `secrets` are by upstream name; an upstream without one gets no Authorization header. `on_outcome` is
    told each call's upstream and outcome, once, when the call is over: ok, client_error, server_error,
    rate_limited, unreachable, timeout or protocol_error. A call that the client gave up before its answer
    began has none. `own_client` False: everything goes over aiohttp's client.

    Raises ValueError for a `base_url` that cannot be used.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        secrets: Mapping[str, Secret],
        on_outcome: Callable[[str, str], None],
        *,
        own_client: bool = True,
    ) -> None:
        self._providers = {
            one.name: Provider(one, secrets.get(one.name, NO_SECRET), on_outcome) for one in upstreams
        }
        routes = tuple(
            routing.Route(name=one.name, models=tuple(one.models), priority=one.priority, weight=one.weight)
            for one in upstreams
        )
        self._plan = lru_cache(maxsize=1024)(partial(routing.plan, routes))  # each request asks four times
        self._methods = asking.METHODS if own_client else frozenset()
        self._connections: dict[str, Connections] = {}
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the pools. Nothing is connected yet."""
        self._session = session.session(KEEPALIVE)
        self._connections = {
            name: Connections(provider, KEEPALIVE) for name, provider in self._providers.items()
        }

    async def close(self) -> None:
        """Close all connections, those of running answers included."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        for connections in self._connections.values():
            await connections.close()

    def plan(self, model: str | None) -> Sequence[str]:
        return self._plan(model)

    def status(self) -> list[dict[str, Any]]:
        """Each upstream as the admin API shows it, in the order of the configuration."""
        return [provider.report() for provider in self._providers.values()]

    def open(self, name: str, request: Outbound) -> Coroutine[Any, Any, Reply]:
        """Send, and wait for the head. See `runtime.Upstreams.open`; raises `UnknownUrl` for an odd path."""
        provider = self._providers[name]
        if self._session is None:
            raise closed()
        body = request.body
        if request.method in self._methods and isinstance(body, bytes):
            return asking.ask(provider, self._connections[name], request, body)
        return session.ask(self._session, provider, request)

    async def connect(self, name: str, request: Outbound) -> UpstreamSocket:
        """Open a WebSocket. See `runtime.Upstreams.connect`."""
        provider = self._providers[name]
        if self._session is None or self._session.connector is None:
            raise closed()
        provider.in_flight += 1

        def conclude(failure: Failure | None) -> None:
            if failure is None:
                provider.answered(101)
            else:
                provider.failed(failure)

        try:
            opened = await websocket.connect(
                self._session.connector,
                target(provider.base, request.path, request.query),
                provider.headers(request),
                provider.first_byte,
                conclude,
            )
        except Refused as refused:
            provider.answered(refused.status)
            raise
        except BaseException:
            provider.in_flight -= 1
            raise
        if isinstance(opened, Failure):
            conclude(opened)
            raise opened.of(name)
        return opened


def closed() -> UpstreamUnreachable:
    return UpstreamUnreachable("The connections to the upstreams are closed.")
