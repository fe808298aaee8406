"""Bytes out, unchanged; or the refusal, in words."""

import contextlib
from collections.abc import Iterator

from gateway.accounts import cost_before_the_head
from gateway.errors import GatewayError, body_of, headers_of, sse_of
from gateway.exchange import ClientGone, Exchange, Outcome
from gateway.policy.money import dollars
from gateway.policy.quota import ratelimit_headers
from gateway.runtime import Gateway
from gateway.sources import Pairs, Source


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
        async with contextlib.aclosing(source.pieces()) as pieces:
            asked = gateway.clock.monotonic()
            # A body of known length leaves with its head: before any of it is there, an error can be said.
            first = await anext(pieces, b"") if source.length else b""
            await exchange.downstream.start(source.status, headers, source.length)
            exchange.begun, exchange.streaming = True, source.stream
            if first:
                await _write(gateway, exchange, first, asked)
            async for data in pieces:
                await _write(gateway, exchange, data, asked)
    finally:
        source.close()
    await exchange.downstream.finish()
    exchange.outcome = Outcome.UPSTREAM_ERROR if source.failed else Outcome.COMPLETE


def _notice(gateway: Gateway, exchange: Exchange, theirs: Pairs) -> list[tuple[str, str]]:
    """Of the end of the model that was asked for, where one is announced."""
    models = exchange.models
    return gateway.succession.notice(models[0], theirs) if models else []


async def _write(gateway: Gateway, exchange: Exchange, data: bytes, asked: float) -> None:
    if exchange.first_byte is None:
        exchange.first_byte = gateway.clock.monotonic()
        if exchange.incoming is not None:
            exchange.upstream_seconds += exchange.first_byte - asked
    exchange.bytes_out += len(data)
    await exchange.downstream.write(data)


async def refuse(exchange: Exchange, error: GatewayError) -> None:
    """Say the error: as a status before the first byte; after it by an honest cut, in a stream told."""
    exchange.error = error
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


def own_headers(exchange: Exchange) -> Iterator[tuple[str, str]]:
    """What the gateway adds to every answer of the line. Its request id comes from who writes the head."""
    yield "x-gateway-cache", exchange.cache
    if exchange.upstream is not None:
        yield "x-gateway-upstream", exchange.upstream
    if exchange.cost is not None:
        yield "x-gateway-cost", dollars(exchange.cost)
    yield from ratelimit_headers(exchange.standings)
