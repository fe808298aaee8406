"""What an exchange costs, and the row that the ledger keeps of it."""

import contextlib

from gateway.errors import NotPriced
from gateway.exchange import Exchange
from gateway.policy.claims import MOST_NANO
from gateway.policy.counts import as_billed
from gateway.policy.endpoints import Charge
from gateway.policy.ledger import Row, Settled, detailed, record_of
from gateway.policy.models import output_cap
from gateway.policy.prompt import most_tokens
from gateway.policy.records import Record, Usage
from gateway.runtime import Gateway

_OTHER = "other"
# What OpenAI takes where no model is named, and says so.
_CHOSEN = {"moderations": "omni-moderation-latest"}
_NO_USAGE = Usage()


def metered(exchange: Exchange) -> bool:
    """Whether its tokens are counted. Of what is passed on, only those that its answer states."""
    endpoint = exchange.endpoint
    return exchange.facts is not None and (endpoint.judged or endpoint.charge is Charge.USAGE)


def worst_output(gateway: Gateway, exchange: Exchange) -> int:
    """The most tokens that this request can have generated."""
    facts = exchange.facts
    if facts is None:
        return 0
    if facts.max_output is not None:
        return facts.n * facts.max_output
    return facts.n * output_cap(exchange.sent_model or "", gateway.settings.models.output_caps)


def worst_cost(gateway: Gateway, exchange: Exchange, input_tokens: int, output_tokens: int) -> int | None:
    """The most that so many tokens cost, in nano-dollars, at the dearest upstream that may be asked.

    None: one of them has no price for the model. Never more than the store can count. Raises NotPriced for a
    tool whose fee is not known.
    """
    facts, model, worst = exchange.facts, _priced_as(exchange), 0
    for name in gateway.upstreams.plan(exchange.sent_model):
        price = gateway.prices.find(name, model, exchange.arrived)
        if price is None or facts is None:
            return None
        worst = max(worst, price.worst(input_tokens, output_tokens, facts))
    return min(worst, MOST_NANO)


def worst_fee(gateway: Gateway, exchange: Exchange) -> int | None:
    """The most that a call of an operation with a fixed fee costs, in nano-dollars. None: nobody knows."""
    worst = 0
    for name in gateway.upstreams.plan(exchange.sent_model):
        fee = gateway.prices.fee(name, exchange.endpoint.name)
        if fee is None:
            return None
        worst = max(worst, fee)
    return min(worst, MOST_NANO)


def cost(gateway: Gateway, exchange: Exchange, usage: Usage, upstream: str | None) -> int | None:
    """What `upstream` bills for `usage`, in nano-dollars. None: nobody knows."""
    price = gateway.prices.find(upstream or "", _priced_as(exchange), exchange.arrived)
    return None if price is None else price.cost(billed(exchange, usage))


def fee(gateway: Gateway, exchange: Exchange) -> int | None:
    """What a call of an operation with a fixed fee has cost, in nano-dollars. None: nobody knows.

    One that was refused costs nothing; one that was never answered may have been carried out.
    """
    incoming = exchange.incoming
    if cut_short(exchange) or (incoming is not None and incoming.status >= 400):
        return 0
    return gateway.prices.fee(exchange.upstream or "", exchange.endpoint.name)


def cut_short(exchange: Exchange) -> bool:
    """Whether its upload ended in the middle, unanswered: nobody carries out half a request."""
    upload = exchange.upload
    return upload is not None and not upload.passed and exchange.incoming is None


def _priced_as(exchange: Exchange) -> str | None:
    """The model whose price holds; None where that is the upstream's own choice."""
    return exchange.sent_model or _CHOSEN.get(exchange.endpoint.name)


def billed(exchange: Exchange, usage: Usage) -> Usage:
    """The usage that an answer states, with what only its request says."""
    return as_billed(usage, exchange.endpoint.name, exchange.facts) if exchange.facts is not None else usage


def cost_before_the_head(gateway: Gateway, exchange: Exchange) -> int | None:
    """What it costs, where that is known before the first byte of the answer is sent."""
    if exchange.cache in ("hit", "joined"):
        return 0
    incoming, charge = exchange.incoming, exchange.endpoint.charge
    if incoming is None or incoming.stream or charge is Charge.FREE:
        return None
    if charge is Charge.FEE:
        return fee(gateway, exchange)
    if incoming.status >= 400:
        return 0
    return None if incoming.usage is None else cost(gateway, exchange, incoming.usage, exchange.upstream)


def lease_record(gateway: Gateway, exchange: Exchange) -> Record:
    """What the store is told when the request is dispatched: what it costs if nobody lives to settle it.

    Sets `lease_row`, and `worst` where nobody had to know it before.
    """
    first, *_ = gateway.upstreams.plan(exchange.sent_model)
    if metered(exchange):
        usage = Usage(input=_most_input(gateway, exchange), output=exchange.worst_output)
        row = _row(exchange, first, "lease", usage, exchange.worst)
    else:
        row = _row(exchange, first, "lease", _NO_USAGE, _worst_unmetered(gateway, exchange))
    exchange.lease_row = row
    return record_of(row, gateway.calendar.day(exchange.arrived), _known(gateway, exchange.sent_model))


def _most_input(gateway: Gateway, exchange: Exchange) -> int:
    if exchange.input_tokens is not None:
        return exchange.input_tokens
    if exchange.worst is not None and (bound := most_tokens(exchange.body)) is not None:
        return bound  # what was claimed, and priced, without counting (`sized`)
    # Where nobody's tokens are limited they are not counted: no text has more of them than bytes.
    tokens = len(exchange.body)
    if exchange.upload is not None and exchange.facts is not None:
        tokens = exchange.facts.input_bound or 0
    if exchange.worst is None:
        with contextlib.suppress(NotPriced):
            exchange.worst = worst_cost(gateway, exchange, tokens, exchange.worst_output)
    return tokens


def _worst_unmetered(gateway: Gateway, exchange: Exchange) -> int | None:
    if exchange.endpoint.charge is Charge.FEE and exchange.worst is None:
        exchange.worst = worst_fee(gateway, exchange)
    return exchange.worst if exchange.endpoint.charge is Charge.FEE else 0


def record(gateway: Gateway, exchange: Exchange) -> Record:
    """What the ledger keeps of an exchange that has ended and whose `usage` and `cost` are set."""
    usage = exchange.usage if exchange.dispatched else None
    settled: Settled = "none"
    if usage is not None:
        settled = "estimate" if usage.estimated else "usage"
    finished = exchange.finished if exchange.finished is not None else gateway.clock.monotonic()
    first = exchange.first_byte
    row = _row(
        *(exchange, exchange.upstream, settled, usage or _NO_USAGE, exchange.cost),
        status=exchange.status,
        error=exchange.error.code if exchange.error is not None else None,
        duration=_ms(finished - exchange.started),
        first_token=None if first is None else _ms(first - exchange.started),
    )
    lease = exchange.lease_row
    leased = None if lease is None else (lease, _known(gateway, lease.sent))
    return record_of(row, gateway.calendar.day(exchange.arrived), _counted_as(gateway, exchange), leased)


def _row(
    exchange: Exchange,
    upstream: str | None,
    settled: Settled,
    usage: Usage,
    cost: int | None,
    *,
    status: int = 0,
    error: str | None = None,
    duration: int = 0,
    first_token: int | None = None,
) -> Row:
    """How it ended is left out of that of a request of which nobody knows yet."""
    client, facts = exchange.client, exchange.facts
    assert client is not None
    row = Row(
        id=exchange.id,
        time=exchange.arrived,
        key=client.id,
        endpoint=exchange.operation,
        team=client.team,
        model=exchange.path_args.get("model") if facts is None else facts.model,
        sent=exchange.sent_model,
        upstream=upstream,
        status=status,
        error=error,
        cache=exchange.cache,
        settled=settled,
        input=usage.input,
        output=usage.output,
        cost=cost,
        saved=exchange.saved,
        duration=duration,
        first_token=first_token,
        tags=dict(exchange.tags or client.tags),  # those of the key, where its header was never read
        shadow=list(exchange.shadowed),
        bounded=facts is not None and facts.max_output is not None,
    )
    return detailed(row, usage)


def _counted_as(gateway: Gateway, exchange: Exchange) -> str | None:
    """The model under which it is added up: a name that was answered for, or one that is known anyway."""
    answered = exchange.status < 400 and (exchange.dispatched or exchange.cache != "bypass")
    return exchange.sent_model if answered else _known(gateway, exchange.sent_model)


def _known(gateway: Gateway, model: str | None) -> str | None:
    return model if model is None or model in gateway.known_models else _OTHER


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
