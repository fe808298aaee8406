"""Bytes out, unchanged; or the refusal, in words."""

import contextlib
from functools import lru_cache

from gateway.accounts import cost_before_the_head
from gateway.errors import GatewayError, body_of, headers_of, sse_of
from gateway.exchange import ClientGone, Exchange, Outcome
from gateway.policy.money import dollars
from gateway.policy.quota import ratelimit_headers
from gateway.runtime import Gateway
from gateway.sources import Pairs, Source
from gateway.straight import lay

_dollars = lru_cache(maxsize=1024)(dollars)  # many cost the same


async def deliver(gateway: Gateway, exchange: Exchange, source: Source) -> None:
    """Hand the answer to the client. Sets `begun`, `status`, `cost`, `bytes_out`, `first_byte`, `outcome`.

    Raises ClientGone, or what broke the source off.
    """
    exchange.status = source.status
    exchange.cost = cost_before_the_head(gateway, exchange)
    if exchange.bridged is not None:
        source = await exchange.bridged.answered(source)
    try:
        theirs = source.headers
        headers = [*theirs, *own_headers(exchange), *_notice(gateway, exchange, theirs)]
        body = source.body
        if body is not None:
            await _whole(gateway, exchange, source.status, headers, body)
        else:
            await _in_pieces(gateway, exchange, source, headers)
    finally:
        source.close()
    await exchange.downstream.finish()
    exchange.outcome = Outcome.UPSTREAM_ERROR if source.failed else Outcome.COMPLETE


def _notice(gateway: Gateway, exchange: Exchange, theirs: Pairs) -> list[tuple[str, str]]:
    """Of the end of the model that was asked for, where one is announced."""
    models = exchange.models
    return gateway.succession.notice(models[0], theirs) if models else []


async def _whole(gateway: Gateway, exchange: Exchange, status: int, headers: Pairs, body: bytes) -> None:
    await exchange.downstream.start(status, headers, len(body))
    exchange.begun = True
    if body:
        exchange.first_byte = gateway.clock.monotonic()
        exchange.bytes_out = len(body)
        await exchange.downstream.write(body)


async def _in_pieces(gateway: Gateway, exchange: Exchange, source: Source, headers: Pairs) -> None:
    downstream = exchange.downstream
    async with contextlib.aclosing(source.pieces()) as pieces:
        asked = gateway.clock.monotonic()
        # A body of known length leaves with its head: before any of it is there, an error can be said.
        first = await anext(pieces, b"") if source.length else b""
        await downstream.start(source.status, headers, source.length)
        exchange.begun, exchange.streaming = True, source.stream
        if first:
            _note_first(gateway, exchange, asked)
            exchange.bytes_out += len(first)
            await downstream.write(first)
        async for data in pieces:
            if exchange.first_byte is None:
                _note_first(gateway, exchange, asked)
                lay(exchange, source)
            exchange.bytes_out += len(data)
            await downstream.write(data)


def _note_first(gateway: Gateway, exchange: Exchange, asked: float) -> None:
    exchange.first_byte = gateway.clock.monotonic()
    if exchange.incoming is not None:
        exchange.upstream_seconds += exchange.first_byte - asked


async def refuse(exchange: Exchange, error: GatewayError) -> None:
    """Say the error: as a status before the first byte; after it by an honest cut, in a stream told."""
    exchange.error = error
    # Where it came from knows the exchange: garbage in a cycle, were it kept.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    exchange.outcome = _outcome(exchange, error)
    with contextlib.suppress(ClientGone):
        if exchange.begun:
            try:
                if exchange.streaming:
                    await exchange.downstream.write(sse_of(error))
            finally:
                exchange.downstream.abort()
            return
        body = body_of(error)
        exchange.status = error.status
        if error.close:
            exchange.downstream.close_after()
        headers = [("content-type", "application/json"), *own_headers(exchange), *headers_of(error)]
        await exchange.downstream.start(error.status, headers, len(body))
        exchange.begun = True
        await exchange.downstream.write(body)
        exchange.bytes_out += len(body)
        await exchange.downstream.finish()


def _outcome(exchange: Exchange, error: GatewayError) -> Outcome:
    if exchange.begun:
        return Outcome.TRUNCATED
    if exchange.upstream is not None and error.type == "upstream_error":
        return Outcome.UPSTREAM_FAILED
    return Outcome.REFUSED


def own_headers(exchange: Exchange) -> Pairs:
    """What the gateway adds to every answer of the line. Its request id comes from who writes the head."""
    own = [("x-gateway-cache", exchange.cache)]
    if exchange.upstream is not None:
        own.append(("x-gateway-upstream", exchange.upstream))
    if exchange.cost is not None:
        own.append(("x-gateway-cost", _dollars(exchange.cost)))
    if exchange.standings:
        own += ratelimit_headers(exchange.standings)
    return own
