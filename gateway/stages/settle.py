"""True up the hold, once. Off the client's time, out of reach of its cancellation."""

from gateway.errors import StoreUnavailable
from gateway.exchange import Exchange
from gateway.incoming import Incoming
from gateway.policy.records import Unit, Usage
from gateway.runtime import Gateway


async def settle(gateway: Gateway, exchange: Exchange) -> None:
    """Sets `usage`; then charges what was spent, or gives everything back if no upstream was asked.

    A store that is away now finds the hold when it comes back, and ends it by its lease; so does whatever
    fails in here, since nobody renews the lease from then on.
    """
    try:
        if exchange.dispatched:
            exchange.usage = await _measured(gateway, exchange)
    finally:
        gateway.open_holds.pop(exchange.hold, None)
    if not exchange.held or exchange.client is None:
        return
    shard, hold, now = exchange.client.shard, exchange.hold, gateway.clock.now()
    try:
        if exchange.dispatched or exchange.cache in ("hit", "joined"):
            spent = exchange.usage.total if exchange.dispatched and exchange.usage is not None else 0
            await gateway.holds.settle(shard, hold, {Unit.TOKENS: spent}, now)
        else:
            await gateway.holds.release(shard, hold, now)
    except StoreUnavailable:
        pass


async def _measured(gateway: Gateway, exchange: Exchange) -> Usage | None:
    """The upstream's own figures; where it never gave them, the gateway's, marked as estimated.

    An upstream that refused did no work. One that never answered may have: its input is charged.
    """
    incoming = exchange.incoming
    if incoming is not None and incoming.usage is not None:
        return incoming.usage
    if incoming is not None and incoming.status >= 400:
        return None
    if not exchange.endpoint.metered:
        return None
    output = await _counted(gateway, exchange, incoming) if incoming is not None else 0
    return Usage(input=await gateway.tokens.input_of(exchange), output=output, estimated=True)


async def _counted(gateway: Gateway, exchange: Exchange, incoming: Incoming) -> int:
    """Output tokens, rounded up. No more than the client allowed for: the rest is our tokenizer's error."""
    texts, facts = incoming.output_texts, exchange.facts
    counted = await gateway.tokens.count(texts, exchange.sent_model)
    kept = sum(len(text.encode(errors="replace")) for text in texts)
    tokens = -(-counted * incoming.output_bytes // kept) if kept else 0
    if facts is None or facts.max_output is None:
        return tokens
    return min(tokens, facts.n * facts.max_output)
