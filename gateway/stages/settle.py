"""True up the hold and write its row, once. Off the client's time, out of reach of its cancellation."""

from gateway import holding
from gateway.accounts import billed, cost, cut_short, fee, metered, record
from gateway.answer import Answer
from gateway.exchange import Exchange
from gateway.policy.counts import unread_output
from gateway.policy.endpoints import Charge
from gateway.policy.records import Unit, Usage
from gateway.runtime import Gateway

_CACHED = ("hit", "joined")


async def settle(gateway: Gateway, exchange: Exchange) -> None:
    """Sets `usage`, `cost`, `priced` and `saved`; then charges what was spent, or gives everything back.

    A store that is away is told later, from the journal. Whatever fails in here leaves a hold that its lease
    ends, since nobody renews it from then on.
    """
    try:
        if exchange.dispatched:
            exchange.usage = await _measured(gateway, exchange)
        _price(gateway, exchange)
    finally:
        gateway.open_holds.pop(exchange.hold, None)
    client = exchange.client
    if client is None:
        return
    if not exchange.dispatched and exchange.cache not in _CACHED:
        await holding.release(gateway, exchange, record(gateway, exchange))
        return
    usage = exchange.usage if exchange.dispatched and exchange.usage is not None else Usage()
    spent = {Unit.TOKENS: usage.total, Unit.DOLLARS: exchange.cost or 0}
    await holding.settle(gateway, exchange, spent, record(gateway, exchange))
    if exchange.dispatched:
        gateway.alerts.touch(client)
        _learn(gateway, exchange, client.id, usage)


def _price(gateway: Gateway, exchange: Exchange) -> None:
    said = exchange.cost  # by `deliver`, of an answer that was whole before its head was sent
    exchange.cost = 0
    if exchange.dispatched and exchange.endpoint.charge is Charge.FEE:
        exchange.cost = fee(gateway, exchange)
    elif exchange.dispatched and exchange.usage is not None:
        known = said is not None and not exchange.usage.estimated
        exchange.cost = said if known else cost(gateway, exchange, exchange.usage, exchange.upstream)
    exchange.priced = exchange.cost is not None
    joined = exchange.joined
    if joined is not None and joined.usage is not None:
        exchange.saved = cost(gateway, exchange, joined.usage, joined.reply.upstream) or 0


def _learn(gateway: Gateway, exchange: Exchange, client: str, usage: Usage) -> None:
    """Only from whole answers without a bound: what was cut says nothing about how long they are."""
    facts, incoming = exchange.facts, exchange.incoming
    if facts is None or facts.max_output is not None or incoming is None or usage.estimated:
        return
    if incoming.failed or not incoming.complete:
        return
    tokens, model = -(-usage.output // facts.n), exchange.sent_model or ""
    gateway.learned.observe(client, exchange.endpoint.name, model, tokens, exchange.arrived)


async def _measured(gateway: Gateway, exchange: Exchange) -> Usage | None:
    """The upstream's own figures; where it never gave them, the gateway's, marked as estimated.

    An upstream that refused did no work. One that never answered may have: its input is charged. One that
    works on in the background tells nobody here what it used: the worst case is charged.
    """
    incoming = exchange.incoming
    if incoming is not None:
        if incoming.owes_usage:  # a wait with an end takes a task
            finishing = incoming.finish(gateway.settings.server.usage_wait)
            await gateway.tasks.spawn(finishing, name="usage owed")
        else:
            incoming.close()
        if incoming.usage is not None:
            return billed(exchange, incoming.usage)
    if incoming is not None and incoming.status >= 400:
        return None
    if exchange.facts is None or not metered(exchange) or cut_short(exchange):
        return None
    tokens = await gateway.tokens.input_of(exchange)
    if exchange.facts.background:
        return billed(exchange, Usage(input=tokens, output=exchange.worst_output, estimated=True))
    if incoming is None:
        return billed(exchange, Usage(input=tokens, estimated=True))
    output = unread_output(exchange.endpoint.name, tokens, exchange.worst_output)
    if output is None:
        output = await _counted(gateway, exchange, incoming)
    return billed(exchange, incoming.estimate(tokens, output))


async def _counted(gateway: Gateway, exchange: Exchange, incoming: Answer) -> int:
    """Output tokens, rounded up. No more than the client allowed for: the rest is our tokenizer's error."""
    texts, size, facts = incoming.output_texts, incoming.output_bytes, exchange.facts
    tokens = await gateway.tokens.output_of(texts, size, exchange.sent_model)
    if facts is None or facts.max_output is None:
        return tokens
    return min(tokens, facts.n * facts.max_output)
