"""Bytes out, unchanged; or the refusal, in words."""

import contextlib
from collections.abc import AsyncGenerator, Iterator

from gateway.accounts import cost_before_the_head
from gateway.errors import GatewayError, body_of, headers_of, sse_of
from gateway.exchange import ClientGone, Exchange, Outcome
from gateway.policy.money import dollars
from gateway.policy.quota import ratelimit_headers
from gateway.runtime import Gateway
from gateway.sources import Source


async def deliver(gateway: Gateway, exchange: Exchange, source: Source) -> None:
    """Hand the answer to the client. Sets `begun`, `status`, `cost`, `bytes_out`, `first_byte`, `outcome`.

    Raises ClientGone, or what broke the source off.
    """
    exchange.status = exchange.answer_status = source.status
    exchange.cost = cost_before_the_head(gateway, exchange)
    try:
        headers = [*source.headers, *own_headers(exchange)]
        await exchange.downstream.start(source.status, headers, source.length)
        exchange.begun, exchange.streaming = True, source.length is None
        async with contextlib.aclosing(source.pieces()) as pieces:
            await _write(gateway, exchange, pieces)
    finally:
        source.close()
    await exchange.downstream.finish()
    exchange.outcome = Outcome.UPSTREAM_ERROR if source.failed else Outcome.COMPLETE


async def _write(gateway: Gateway, exchange: Exchange, pieces: AsyncGenerator[bytes, None]) -> None:
    asked = gateway.clock.monotonic()
    async for data in pieces:
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
