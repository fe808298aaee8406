"""The one way to the providers: a request goes out, the head of its answer comes back."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import aiohttp
from yarl import URL

from gateway.errors import UpstreamUnreachable
from gateway.exchange import Outbound, Reply
from gateway.policy import routing
from gateway.settings import Upstream
from gateway.sockets.ends import Refused
from gateway.upstream import failures, websocket
from gateway.upstream.failures import Failure
from gateway.upstream.pool import Pool
from gateway.upstream.relay import Relay
from gateway.upstream.response import ReplyBody
from gateway.upstream.secrets import NO_SECRET, Secret
from gateway.upstream.sending import Sending
from gateway.upstream.target import base_url, target
from gateway.upstream.websocket import UpstreamSocket

# Shorter than the 5 s after which llama.cpp, uvicorn and Node close an idle connection: a POST that meets a
# closing connection cannot be sent again (see `failures.NO_HEAD`), so we let go first. A fresh TLS
# handshake costs less.
KEEPALIVE = 4.0
# nginx: two buffers of 4-64 kB per connection. What a slow client may make us hold, besides the kernel's
# share.
READ_BUFFER = 2**16
# aiohttp's own additions. What goes out is what `policy.headers` has listed, and nothing else.
NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
# Credentials are ours to set, whatever else the list lets through.
OURS = frozenset({"authorization", "api-key", "cookie", "proxy-authorization"})


class Provider:
    """One configured upstream and what was last seen of it."""

    def __init__(self, settings: Upstream, secret: Secret) -> None:
        self.name = settings.name
        self.base = base_url(settings.base_url)
        self.idle = float(settings.idle_timeout)
        self.first_byte = float(settings.first_byte_timeout)
        self.connecting = aiohttp.ClientTimeout(
            total=None, connect=settings.connect_timeout, sock_connect=settings.connect_timeout
        )
        self.credentials = (("authorization", f"Bearer {secret.reveal()}"),) if secret else ()
        self.in_flight = 0
        self.outcome: str | None = None
        self.error: str | None = None

    def headers(self, request: Outbound) -> list[tuple[str, str]]:
        passed = [(name, value) for name, value in request.headers if name.lower() not in OURS]
        return [*passed, *self.credentials]

    @property
    def up(self) -> bool | None:
        """Does it answer? None: nobody has asked yet."""
        return (
            None if self.outcome is None else self.outcome not in ("unreachable", "timeout", "protocol_error")
        )

    def report(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "base_url": str(self.base),
            "up": self.up,
            "last_outcome": self.outcome,
            "last_error": self.error,
            "in_flight": self.in_flight,
        }

    def __repr__(self) -> str:
        return f"<Provider {self.name} {self.outcome or 'unused'}, {self.in_flight} in flight>"


class Transport:
    """`runtime.Upstreams` over aiohttp's client.

    `secrets` are by upstream name; an upstream without one gets no Authorization header. `on_outcome` is
    told each call's upstream and outcome, once, when the call is over: ok, client_error, server_error,
    rate_limited, unreachable, timeout or protocol_error. A call that the client gave up before its answer
    began has none.

    Raises ValueError for a `base_url` that cannot be used.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        secrets: Mapping[str, Secret],
        on_outcome: Callable[[str, str], None],
    ) -> None:
        self._providers = {one.name: Provider(one, secrets.get(one.name, NO_SECRET)) for one in upstreams}
        routes = tuple(
            routing.Route(name=one.name, models=tuple(one.models), priority=one.priority, weight=one.weight)
            for one in upstreams
        )
        self._plan = lru_cache(maxsize=1024)(partial(routing.plan, routes))  # each request asks four times
        self._on_outcome = on_outcome
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the pool. Nothing is connected yet."""
        self._session = aiohttp.ClientSession(
            connector=Pool(keepalive=KEEPALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
            skip_auto_headers=NOT_ADDED,
        )

    async def close(self) -> None:
        """Close all connections, those of running answers included."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def plan(self, model: str | None) -> Sequence[str]:
        return self._plan(model)

    def status(self) -> list[dict[str, Any]]:
        """Each upstream as the admin API shows it, in the order of the configuration."""
        return [provider.report() for provider in self._providers.values()]

    async def open(self, name: str, request: Outbound) -> Reply:
        """Send, and wait for the head. See `runtime.Upstreams.open`; raises `UnknownUrl` for an odd path."""
        provider = self._providers[name]
        if self._session is None:
            raise UpstreamUnreachable("The connections to the upstreams are closed.")
        url = target(provider.base, request.path, request.query)
        body = outgoing(request, provider)
        provider.in_flight += 1
        try:
            answer = await ask(self._session, provider, url, request, body)
        except BaseException:
            provider.in_flight -= 1  # cancelled, or the client's body failed: the connection is closed
            raise
        if isinstance(answer, Failure):
            self._conclude(provider, answer.outcome, answer)
            raise answer.of(name)

        def conclude(failure: Failure | None) -> None:
            self._conclude(provider, failure.outcome if failure else outcome_of(answer.status), failure)

        reply = ReplyBody(answer, name, provider.idle, conclude, body)
        return Reply(
            status=answer.status, headers=answer.headers, body=reply, close=reply.close, upstream=name
        )

    async def connect(self, name: str, request: Outbound) -> UpstreamSocket:
        """Open a WebSocket. See `runtime.Upstreams.connect`."""
        provider = self._providers[name]
        if self._session is None or self._session.connector is None:
            raise UpstreamUnreachable("The connections to the upstreams are closed.")
        provider.in_flight += 1

        def conclude(failure: Failure | None) -> None:
            self._conclude(provider, failure.outcome if failure else "ok", failure)

        try:
            opened = await websocket.connect(
                self._session.connector,
                target(provider.base, request.path, request.query),
                provider.headers(request),
                provider.first_byte,
                conclude,
            )
        except Refused as refused:
            self._conclude(provider, outcome_of(refused.status), None)
            raise
        except BaseException:
            provider.in_flight -= 1
            raise
        if isinstance(opened, Failure):
            conclude(opened)
            raise opened.of(name)
        return opened

    def _conclude(self, provider: Provider, outcome: str, failure: Failure | None) -> None:
        provider.in_flight -= 1
        provider.outcome = outcome
        provider.error = failure.kind if failure else None
        self._on_outcome(provider.name, outcome)


def outgoing(request: Outbound, provider: Provider) -> Sending | Relay | None:
    if isinstance(request.body, bytes):
        return Sending(request.body) if request.body else None
    return Relay(request.body, provider.first_byte) if request.body.length != 0 else None


async def ask(
    session: aiohttp.ClientSession,
    provider: Provider,
    url: URL,
    request: Outbound,
    body: Sending | Relay | None,
) -> aiohttp.ClientResponse | Failure:
    """Send the request; its answer with the body unread, or why there is none.

    A kept connection may turn out dead before the first byte is written. That is the one failure after which
    the same upstream is asked again, once, on another connection.
    """
    answer = await attempt(session, provider, url, request, body)
    return await attempt(session, provider, url, request, body) if answer is failures.NOT_SENT else answer


async def attempt(
    session: aiohttp.ClientSession,
    provider: Provider,
    url: URL,
    request: Outbound,
    body: Sending | Relay | None,
) -> aiohttp.ClientResponse | Failure:
    relay = body if isinstance(body, Relay) else None
    try:
        # Round the whole of it: an upstream that takes the request byte by byte is as silent as any. But what
        # comes from the client as it goes out may take as long as the client does: a relay has its own watch.
        async with asyncio.timeout(None if relay else provider.first_byte):
            response = await session.request(
                request.method,
                url,
                headers=provider.headers(request),
                data=body,
                allow_redirects=False,
                timeout=provider.connecting,
            )
    except Exception as error:
        if relay is not None and relay.error is not None:
            raise relay.error from None
        if relay is not None and relay.silent:
            return failures.SILENT
        return failures.while_opening(error, begun=body is None or body.begun)
    finally:
        if relay is not None:
            relay.unwatch()
    failure = failures.of_status(response.status, conditional=is_conditional(request))
    if failure is None:
        return response
    response.close()
    return failure


def is_conditional(request: Outbound) -> bool:
    """Is it asked for only if it has changed (RFC 9110 section 13.1)?"""
    return any(name.lower() in ("if-none-match", "if-modified-since") for name, _ in request.headers)


def outcome_of(status: int) -> str:
    if status < 400:
        return "ok"
    if status == 429:
        return "rate_limited"
    return "client_error" if status < 500 else "server_error"
