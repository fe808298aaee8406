"""What a request asks of its client's limits, and which bound they put on it."""

from collections.abc import Collection
from dataclasses import dataclass

from gateway.errors import NotPriced
from gateway.policy.facts import Facts
from gateway.policy.limits import owner_of
from gateway.policy.patterns import matches
from gateway.policy.records import Claim, Client, Kind, Limit, Unit

_SPENT = (Unit.TOKENS, Unit.DOLLARS)

# The store counts in double-precision numbers. Nobody's budget has room for this.
MOST_NANO = 2**52


@dataclass(frozen=True, slots=True)
class Demand:
    """The most that a request can use, and what such requests usually do. Tokens and nano-dollars.

    `cost` None: nobody knows the price. `bounded`: the client, or a cap, bounds its output. Nothing is
    learned where nothing is known of such requests, or not enough.
    """

    tokens: int
    cost: int | None
    bounded: bool
    learned_tokens: int | None = None
    learned_cost: int | None = None


def applies(limit: Limit, models: Collection[str]) -> bool:
    """Whether the limit holds for a request for one of these models: the one asked for, the one sent.

    Either is enough, or an alias would lead around the limit. One that names models leaves requests without
    a model alone.
    """
    return not limit.models or any(matches(limit.models, model) for model in models)


def claims_to_admit(client: Client, models: Collection[str]) -> list[Claim]:
    """One request and one slot, of every limit on either that applies."""
    return [
        Claim(limit, 1, held=False)
        for limit in client.limits
        if limit.unit in (Unit.REQUESTS, Unit.SLOTS) and applies(limit, models)
    ]


def claims_to_answer(client: Client, models: Collection[str], demand: Demand) -> list[Claim]:
    """The tokens and the money that are to be held, of every limit on either that applies.

    That is the worst case; of a learned limit, where the request has no bound, what such requests usually
    use. Without a bound a rate is asked for no more than it holds, so that an idle one always admits; what is
    spent beyond that is a debt which leaks off. A budget is asked for everything.

    Raises NotPriced where an enforced limit in dollars applies and nobody knows the cost.
    """
    return [
        Claim(limit, _asked(limit, models, demand), held=True)
        for limit in client.limits
        if limit.unit in _SPENT and applies(limit, models)
    ]


def cap_of(client: Client, models: Collection[str], facts: Facts) -> int | None:
    """The bound on each choice's tokens that a request is sent with which has none of its own.

    The smallest of the enforced limits that apply. None: it has one, or generates nothing, or no limit caps.
    """
    if facts.max_output is not None:
        return None
    caps = (limit.cap_output for limit in client.limits if not limit.shadow and applies(limit, models))
    return min((cap for cap in caps if cap is not None), default=None)


def _asked(limit: Limit, models: Collection[str], demand: Demand) -> int:
    if limit.unit is Unit.DOLLARS:
        worst, learned = min(_cost(limit, models, demand), MOST_NANO), demand.learned_cost
    else:
        worst, learned = demand.tokens, demand.learned_tokens
    if demand.bounded:
        return worst
    if limit.learned and learned is not None:
        worst = min(worst, learned)
    return min(worst, limit.amount) if limit.kind is Kind.RATE else worst


def _cost(limit: Limit, models: Collection[str], demand: Demand) -> int:
    if demand.cost is not None:
        return demand.cost
    if limit.shadow:
        return 0
    *_, model = ("", *models)
    raise NotPriced(
        f"The price of the model '{model}' is not known, and '{limit.text}' of {owner_of(limit)} limits "
        "dollars. Ask for a model that has one, or have whoever runs the gateway set it in [prices.models].",
        param="model",
    )
