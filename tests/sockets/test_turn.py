"""One turn's account."""

from typing import Any

import pytest

from gateway.errors import NotPriced, QuotaExceeded
from gateway.policy.conversation import Conversation
from gateway.policy.realtime import event_of
from gateway.policy.records import Usage
from gateway.policy.spoken import SpokenMeter
from gateway.sockets import turn as turns
from gateway.sockets.asking import fresh
from gateway.sockets.turn import Turn
from tests import books
from tests.running import Running
from tests.sockets.conftest import Begin, session_of


def made(gateway: Running, model: str = "gpt-realtime") -> Turn:
    session: Any = session_of(gateway)
    exchange = fresh(gateway.gateway, session, 1, session.client, session.endpoint)
    exchange.facts, exchange.sent_model = Conversation(model).facts(None), model
    gateway.gateway.telemetry.started(exchange)
    return Turn(exchange, SpokenMeter())


async def test_what_is_owed_is_charged_beyond_the_limit(begin: Begin) -> None:
    gateway = await begin(limits='["10 tokens/day"]')
    turn = made(gateway)
    refused = await turns.owe(gateway.gateway, turn, Usage(20, 30))
    assert isinstance(refused, QuotaExceeded)
    turns.begin(gateway.gateway, turn)
    turn.exchange.usage = Usage(2, 13)
    turns.conclude(gateway.gateway, turn)
    assert await books.used(gateway) == [15]


async def test_tokens_are_charged_where_nobody_knows_the_price(begin: Begin) -> None:
    gateway = await begin(limits='["100k tokens/day", "$5/day"]')
    turn = made(gateway, "nobodys-model")
    assert isinstance(await turns.owe(gateway.gateway, turn, Usage(20, 30)), NotPriced)
    turn.exchange.usage = Usage(2, 3)
    turns.conclude(gateway.gateway, turn)
    assert await books.used(gateway) == [5, 0]
    row = await books.row(gateway)
    assert row.cost is None


@pytest.mark.parametrize("refused", [True, False])
async def test_what_was_not_sent_costs_nothing(begin: Begin, refused: bool) -> None:
    gateway = await begin()
    turn = made(gateway)
    if refused:
        turns.refuse(gateway.gateway, turn, QuotaExceeded("no"))
    else:
        turns.conclude(gateway.gateway, turn)
    row = await books.row(gateway)
    assert (row.cost, row.settled, row.error) == (0, "none", "insufficient_quota" if refused else None)


async def test_a_turn_without_an_end_is_charged_by_what_was_seen(begin: Begin) -> None:
    gateway = await begin()
    turn = made(gateway)
    turn.exchange.input_tokens, turn.exchange.worst_output = 11, 100
    turns.dispatch(gateway.gateway, turn)
    turns.begin(gateway.gateway, turn)
    words = event_of(b'{"type":"response.output_text.delta","delta":"one two three"}')
    assert words is not None
    turn.meter.read(words)  # type: ignore[union-attr]
    turns.first_byte(gateway.gateway, turn)
    turns.conclude(gateway.gateway, turn)
    row = await books.row(gateway)
    assert (row.input, row.output, row.settled, row.first_token is not None) == (11, 3, "estimate", True)
