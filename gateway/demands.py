"""What an answer is going to ask of its client's limits: the worst that its tokens can come to."""

from dataclasses import replace

from gateway.accounts import worst_cost
from gateway.errors import NotPriced
from gateway.exchange import Exchange
from gateway.policy.facts import Facts
from gateway.policy.quota import Demand, claims_to_answer
from gateway.policy.records import Claim, Client
from gateway.runtime import Gateway


def claims_for(
    gateway: Gateway, exchange: Exchange, client: Client, facts: Facts, tokens: int
) -> list[Claim]:
    """With so many tokens going in. `worst_output` is known. Sets `worst`; raises NotPriced."""
    unpriced: NotPriced | None = None
    try:
        exchange.worst = worst_cost(gateway, exchange, tokens, exchange.worst_output)
    except NotPriced as error:
        unpriced = error
    try:
        return claims_to_answer(client, exchange.models, _demand(gateway, exchange, client, facts, tokens))
    except NotPriced as error:
        raise unpriced or _unnamed(exchange) or error from None


def _unnamed(exchange: Exchange) -> NotPriced | None:
    if exchange.models:
        return None
    return NotPriced(
        "This request leaves the model to the upstream, so that its price is not known, and a limit in "
        "dollars holds here. Name the model, or have whoever runs the gateway set prices.unpriced.",
        param="model",
    )


def _demand(gateway: Gateway, exchange: Exchange, client: Client, facts: Facts, tokens: int) -> Demand:
    demand = Demand(tokens + exchange.worst_output, exchange.worst, bounded=facts.max_output is not None)
    if demand.bounded or not any(limit.learned for limit in client.limits):
        return demand
    learned = gateway.learned.expect(client.id, exchange.endpoint.name, exchange.sent_model or "")
    if learned is None:
        return demand
    output = min(exchange.worst_output, facts.n * learned)
    cost = None if demand.cost is None else worst_cost(gateway, exchange, tokens, output)
    return replace(demand, learned_tokens=tokens + output, learned_cost=cost)
