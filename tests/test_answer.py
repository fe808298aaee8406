"""What is still owed when nobody reads on is waited for, and not for ever."""

import asyncio

import pytest

from gateway.answer import finish
from gateway.errors import UpstreamProtocolError
from gateway.policy.records import Usage
from tests.test_passing import PICTURE, SPENT, Sender, passing


async def test_who_leaves_in_the_middle_is_charged_exactly() -> None:
    go_on = asyncio.Event()
    sender = Sender(PICTURE[:100], go_on, PICTURE[100:])
    answer = passing(sender)
    pieces = answer.pieces()
    await anext(pieces)
    await pieces.aclose()
    assert answer.owes_usage
    go_on.set()
    await finish(answer, 20)
    assert (answer.usage, sender.closed) == (SPENT, 1)


@pytest.mark.parametrize("rest", [asyncio.Event(), UpstreamProtocolError("cut")])
async def test_a_usage_that_does_not_come_is_not_waited_for(rest: asyncio.Event | Exception) -> None:
    sender = Sender(PICTURE[:100], rest)
    answer = passing(sender)
    await finish(answer, 0.01)
    assert (answer.usage, answer.owes_usage, sender.closed) == (None, False, 1)
    assert answer.estimate(3, 4) == Usage(3, 4, estimated=True, input_image=3, output_image=4)
