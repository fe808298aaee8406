"""One response of a session: reserved before it may begin, settled by what it used, a row of its own.

It is an exchange like any other, of which only the asking and the answering happen elsewhere.
"""

from dataclasses import dataclass, replace

from gateway import holding
from gateway.accounts import billed, cost, record, worst_cost
from gateway.errors import GatewayError, NotPriced, QuotaExceeded, RateLimited, StoreUnavailable
from gateway.exchange import Exchange, Outcome
from gateway.policy.facts import Facts
from gateway.policy.quota import Demand, claims_to_answer
from gateway.policy.records import Unit, Usage
from gateway.policy.spoken import SpokenMeter
from gateway.policy.usage import Meter
from gateway.runtime import Gateway


@dataclass(slots=True, eq=False)
class Turn:
    """`exchange` is its record, `meter` what was seen of it. `sent`: when it was asked for, monotonic."""

    exchange: Exchange
    meter: Meter | SpokenMeter
    sent: float = 0.0
    begun: bool = False  # the upstream has said so
    ended: bool = False  # and that this is all; or has refused it

    def __repr__(self) -> str:
        state = "ended" if self.ended else "begun" if self.begun else "asked"
        return f"<Turn {self.exchange.id} {state}>"


def begin(gateway: Gateway, turn: Turn) -> None:
    turn.begun = turn.exchange.begun = True
    turn.exchange.status = 200


def first_byte(gateway: Gateway, turn: Turn) -> None:
    """Something of its answer has come."""
    exchange = turn.exchange
    if exchange.first_byte is None:
        exchange.first_byte = gateway.clock.monotonic()
        exchange.upstream_seconds += exchange.first_byte - turn.sent


def dispatch(gateway: Gateway, turn: Turn) -> None:
    """From here on it may be paid for: if this process dies, the store charges the worst case."""
    turn.exchange.dispatched = True
    turn.sent = gateway.clock.monotonic()
    holding.dispatch(gateway, turn.exchange)


async def owe(gateway: Gateway, turn: Turn, usage: Usage) -> GatewayError | None:
    """For a turn that began unasked, or is over: it will be charged for whatever the limits say.

    Returns why a limit would have refused it. `usage` is the most that it can use.
    """
    exchange = turn.exchange
    client = exchange.client
    assert client is not None
    facts = exchange.facts
    exchange.worst_output = usage.output
    exchange.input_tokens = usage.input
    refused: GatewayError | None = None
    try:
        exchange.worst = worst_cost(gateway, exchange, usage.input, usage.output) if facts else None
        claims = claims_to_answer(client, exchange.models, Demand(usage.total, exchange.worst, bounded=True))
    except NotPriced as error:
        refused = error
        counted = replace(client, limits=tuple(one for one in client.limits if one.unit is Unit.TOKENS))
        claims = claims_to_answer(counted, exchange.models, Demand(usage.total, None, bounded=True))
    try:
        await holding.hold(gateway, exchange, "reserve", claims)
    except (QuotaExceeded, RateLimited, StoreUnavailable) as error:
        refused = error
    finally:
        # A settle charges the claims that come with it, whether or not they are held.
        exchange.claims = tuple(claims)
        dispatch(gateway, turn)
    return refused


async def settle(gateway: Gateway, turn: Turn) -> None:
    """Charge what it used and write its row, once. Off the client's time."""
    exchange = turn.exchange
    try:
        await _settle(gateway, turn)
    finally:
        gateway.open_holds.pop(exchange.hold, None)
        gateway.telemetry.observe(exchange)


async def _settle(gateway: Gateway, turn: Turn) -> None:
    exchange, client = turn.exchange, turn.exchange.client
    assert client is not None
    if not exchange.dispatched:
        exchange.cost = 0
        await holding.release(gateway, exchange, record(gateway, exchange))
        return
    usage = exchange.usage = await _measured(gateway, turn)
    exchange.cost = 0
    if usage is not None:
        exchange.cost = cost(gateway, exchange, usage, exchange.upstream)
        exchange.priced = exchange.cost is not None
    spent = {Unit.TOKENS: usage.total if usage else 0, Unit.DOLLARS: exchange.cost or 0}
    await holding.settle(gateway, exchange, spent, record(gateway, exchange))
    gateway.alerts.touch(client)
    if usage is not None and not usage.estimated and exchange.outcome is Outcome.COMPLETE:
        _learn(gateway, exchange, exchange.facts, usage)


def _learn(gateway: Gateway, exchange: Exchange, facts: Facts | None, usage: Usage) -> None:
    if facts is None or facts.max_output is not None or exchange.client is None:
        return
    name, model = exchange.endpoint.name, exchange.sent_model or ""
    gateway.learned.observe(exchange.client.id, name, model, usage.output, exchange.arrived)


async def _measured(gateway: Gateway, turn: Turn) -> Usage | None:
    """The upstream's own figures; where it never gave them, the gateway's, marked as estimated.

    A turn that the upstream refused cost nothing. One that was asked for and never begun may have been read.
    """
    exchange, meter = turn.exchange, turn.meter
    if exchange.usage is not None:
        return exchange.usage
    if meter.usage is not None:
        return billed(exchange, meter.usage)
    if exchange.facts is None or (turn.ended and not turn.begun):
        return None
    tokens = await gateway.tokens.input_of(exchange)
    if exchange.facts.background:
        return billed(exchange, Usage(tokens, exchange.worst_output, estimated=True))
    return billed(exchange, meter.estimate(tokens, await _counted(gateway, turn)))


async def _counted(gateway: Gateway, turn: Turn) -> int:
    """Output tokens, rounded up; no more than were allowed."""
    meter, exchange = turn.meter, turn.exchange
    tokens = await gateway.tokens.output_of(meter.texts, meter.text_bytes, exchange.sent_model)
    return min(tokens, exchange.worst_output) if exchange.worst_output else tokens


def refuse(gateway: Gateway, turn: Turn, error: GatewayError) -> None:
    """Nothing of it was sent: its row says why."""
    exchange = turn.exchange
    exchange.error, exchange.status, exchange.outcome = error, error.status, Outcome.REFUSED
    conclude(gateway, turn)


def conclude(gateway: Gateway, turn: Turn) -> None:
    """It is over, however it was: settled in the background."""
    exchange = turn.exchange
    exchange.finished = gateway.clock.monotonic()
    gateway.tasks.spawn(settle(gateway, turn), name=f"settle {exchange.id}")
