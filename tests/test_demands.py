"""What an answer asks of its client's limits, before anybody is asked for it."""

import pytest

from gateway.demands import claims_for
from gateway.errors import NotPriced
from gateway.policy.quota import parse_limit
from gateway.policy.records import Client
from tests.conftest import Start
from tests.exchanges import asking, ended


def client(*limits: str) -> Client:
    return Client("a", "a", b"", limits=tuple(parse_limit(limit, "key:a") for limit in limits))


async def test_the_worst_of_what_goes_in_and_comes_out(start: Start) -> None:
    gateway = (await start()).gateway
    who = client("900 tokens/day", "3 requests/day", "$1/day")
    exchange = ended(client=who, sent_model="gpt-4o-mini", worst_output=50)
    claims = claims_for(gateway, exchange, who, asking("gpt-4o-mini"), 10)
    cost = 10 * 150 + 50 * 600
    assert [(str(claim.limit.unit), claim.amount) for claim in claims] == [("tokens", 60), ("dollars", cost)]
    assert exchange.worst == cost


async def test_what_has_no_price_cannot_be_held_against_dollars(start: Start) -> None:
    gateway = (await start()).gateway
    for model, said in (("nobody-knows-it", "nobody-knows-it"), (None, "leaves the model")):
        exchange = ended(client=client("$1/day"), sent_model=model, facts=asking(model))
        with pytest.raises(NotPriced, match=said):
            claims_for(gateway, exchange, client("$1/day"), asking(model), 10)
    assert claims_for(gateway, exchange, client("9 tokens/day"), asking(None), 10)[0].amount >= 9
