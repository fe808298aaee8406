"""Small requests of clients with room: their tokens are not counted before they are asked."""

from gateway.demands import claims_for
from gateway.exchange import Exchange
from gateway.policy.claims import negligible
from gateway.policy.facts import Facts
from gateway.policy.prompt import most_tokens
from gateway.policy.records import Claim, Client
from gateway.runtime import Gateway


def claims_by_size(gateway: Gateway, exchange: Exchange, client: Client, facts: Facts) -> list[Claim] | None:
    """`claims_for` a bound on the input tokens, from the size of the body. None: they are to be counted.

    Counting takes longer than all else that is decided about a small request. What is claimed so is too much
    by less than anybody can see of the limit (`negligible`), and only until the request is settled.
    Leaves `input_tokens` unset: where an estimate is charged, it is counted. Raises NotPriced.
    """
    if exchange.input_tokens is not None or exchange.upload is not None:
        return None
    most = most_tokens(exchange.body)
    if most is None:
        return None
    claims = claims_for(gateway, exchange, client, facts, most)
    return claims if negligible(claims) else None
