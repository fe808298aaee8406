"""Requests over aiohttp's client: uploads, what is asked by HEAD, and all where the own client is off."""

import asyncio

import aiohttp
from yarl import URL

from gateway.exchange import Outbound, Reply
from gateway.upstream import failures
from gateway.upstream.arrival import READ_BUFFER
from gateway.upstream.failures import Failure
from gateway.upstream.heads import is_conditional
from gateway.upstream.pool import Pool
from gateway.upstream.provider import Provider
from gateway.upstream.relay import Relay
from gateway.upstream.response import ReplyBody
from gateway.upstream.sending import Sending
from gateway.upstream.target import target

# aiohttp's own additions. What goes out is what `policy.headers` has listed, and nothing else.
NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


def session(keepalive: float) -> aiohttp.ClientSession:
    """Whose connections stay for `keepalive` seconds. Nothing is connected yet."""
    return aiohttp.ClientSession(
        connector=Pool(keepalive=keepalive),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=READ_BUFFER,
        skip_auto_headers=NOT_ADDED,
    )


async def ask(session: aiohttp.ClientSession, provider: Provider, request: Outbound) -> Reply:
    """As `Transport.open`."""
    url = target(provider.base, request.path, request.query)
    body = outgoing(request, provider)
    provider.in_flight += 1
    try:
        answer = await _twice(session, provider, url, request, body)
    except BaseException:
        provider.in_flight -= 1  # cancelled, or the client's body failed: the connection is closed
        raise
    if isinstance(answer, Failure):
        provider.failed(answer)
        raise answer.of(provider.name)

    def conclude(failure: Failure | None) -> None:
        if failure is None:
            provider.answered(answer.status)
        else:
            provider.failed(failure)

    reply = ReplyBody(answer, provider.name, provider.idle, conclude, body)
    return Reply(answer.status, answer.headers, reply, reply.close, provider.name)


def outgoing(request: Outbound, provider: Provider) -> Sending | Relay | None:
    if isinstance(request.body, bytes):
        return Sending(request.body) if request.body else None
    return Relay(request.body, provider.first_byte) if request.body.length != 0 else None


async def _twice(
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
    answer = await _attempt(session, provider, url, request, body)
    return await _attempt(session, provider, url, request, body) if answer is failures.NOT_SENT else answer


async def _attempt(
    session: aiohttp.ClientSession,
    provider: Provider,
    url: URL,
    request: Outbound,
    body: Sending | Relay | None,
) -> aiohttp.ClientResponse | Failure:
    relay = body if isinstance(body, Relay) else None
    connecting = aiohttp.ClientTimeout(
        total=None, connect=provider.connecting, sock_connect=provider.connecting
    )
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
                timeout=connecting,
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
