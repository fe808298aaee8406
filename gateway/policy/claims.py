"""What a request asks of its client's limits, and which bound they put on it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.errors import NotPriced
from gateway.policy import frozen
from gateway.policy.facts import Facts
from gateway.policy.limits import owner_of
from gateway.policy.patterns import matches
from gateway.policy.records import Claim, Client, Kind, Limit, Unit

_SPENT = (Unit.TOKENS, Unit.DOLLARS)

# The store counts in double-precision numbers. Nobody's budget has room for this.
MOST_NANO = 2**52

# What a claim may be of its limit for nobody to see whether it is exact: `negligible`.
_ONE_OF: Final = 1000


@frozen.dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Terms:
    """What a client's limits ask of its requests for some models, whatever else is in them.

    `admit` are the claims of each request, `spent` the limits on tokens and dollars, `cap` the smallest bound
    on the output of a choice that an enforced one of them puts.
    """

    admit: tuple[Claim, ...]
    spent: tuple[Limit, ...]
    cap: int | None


@lru_cache(maxsize=4096)  # pairs that are remembered, some 500 bytes each; a client is known by its identity
def terms(client: Client, models: tuple[str, ...]) -> Terms:
    """The terms of a request for these models: the one asked for, the one sent."""
    limits = [limit for limit in client.limits if applies(limit, models)]
    caps = [limit.cap_output for limit in limits if not limit.shadow and limit.cap_output is not None]
    return Terms(
        admit=tuple(
            Claim(limit, 1, held=False) for limit in limits if limit.unit in (Unit.REQUESTS, Unit.SLOTS)
        ),
        spent=tuple(limit for limit in limits if limit.unit in _SPENT),
        cap=min(caps, default=None),
    )


def claims_to_admit(client: Client, models: Collection[str]) -> list[Claim]:
    """One request and one slot, of every limit on either that applies."""
    return list(terms(client, tuple(models)).admit)


def claims_to_answer(client: Client, models: Collection[str], demand: Demand) -> list[Claim]:
    """The tokens and the money that are to be held, of every limit on either that applies.

    That is the worst case; of a learned limit, where the request has no bound, what such requests usually
    use. Without a bound a rate is asked for no more than it holds, so that an idle one always admits; what is
    spent beyond that is a debt which leaks off. A budget is asked for everything.

    Raises NotPriced where an enforced limit in dollars applies and nobody knows the cost.
    """
    return [
        Claim(limit, _asked(limit, models, demand), held=True) for limit in terms(client, tuple(models)).spent
    ]


def negligible(claims: Sequence[Claim]) -> bool:
    """Whether each of these claims is less than a thousandth of its limit.

    Then it is all the same whether they are exact or too large: what they hold too much for the length of a
    request is below what anybody can see of the limit, and what is charged in the end is what was used.
    """
    return all(claim.amount * _ONE_OF < claim.limit.amount for claim in claims)


def cap_of(client: Client, models: Collection[str], facts: Facts) -> int | None:
    """The bound on each choice's tokens that a request is sent with which has none of its own.

    The smallest of the enforced limits that apply. None: it has one, or generates nothing, or no limit caps.
    """
    if facts.max_output is not None:
        return None
    return terms(client, tuple(models)).cap


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
