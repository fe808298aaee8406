"""Each response is a turn; what cannot be paid for is not asked."""

import json
from typing import Any

import pytest

from gateway.exchange import Outcome
from gateway.policy.realtime import Dialect
from gateway.sockets.ends import Message
from gateway.sockets.metering import Metering
from gateway.sockets.over import Over
from tests import books
from tests.realtime import done, transcribed
from tests.running import Running
from tests.sockets.conftest import Begin, End, session_of

ASK = {"type": "response.create", "response": {"max_output_tokens": 50}}


def message(event: dict[str, Any]) -> Message:
    return Message(json.dumps(event).encode())


def metered(gateway: Running, dialect: Dialect = "realtime") -> tuple[Metering, End, End]:
    client, upstream = End(), End()
    exchange = session_of(gateway, f"/v1/{dialect}")
    return Metering(gateway.gateway, exchange, dialect, client, upstream), client, upstream


def created(name: str) -> Message:
    return message({"type": "response.created", "response": {"id": name}})


async def test_a_turn_from_its_question_to_its_row(begin: Begin) -> None:
    gateway = await begin(limits='["10k tokens/day"]')
    metering, client, _ = metered(gateway)
    asked = message(ASK)
    assert await metering.outgoing(asked) == asked
    assert list(gateway.gateway.open_holds) == ["req_1.1"]
    await metering.incoming(created("r1"))
    await metering.incoming(message(done("r1", "completed", 7, 5, spoken=True)))
    assert metering.idle
    row = await books.row(gateway)
    assert (row.id, row.status, row.input, row.output, row.settled) == ("req_1.1", 200, 7, 5, "usage")
    assert await books.used(gateway) == [12]
    assert client.sent == []


async def test_what_is_no_event_of_ours_passes_and_what_is_no_json_does_not(begin: Begin) -> None:
    gateway = await begin()
    metering, client, _ = metered(gateway)
    for passing in (message({"type": "new.thing"}), Message(b"\x01\x02", text=False)):
        assert await metering.outgoing(passing) is passing
    for data in (b"{", b"[]", b'{"type":"x","type":"y"}', b'{"type":7}'):
        assert await metering.outgoing(Message(data)) is None
    assert [json.loads(sent.data)["type"] for sent in client.sent] == ["error"] * 4
    for data in (b"?", b'{"type":"new.thing"}', b'{"type":"response.done","response":7}'):
        await metering.incoming(Message(data))


async def test_nothing_but_text_asks_for_responses(begin: Begin) -> None:
    gateway = await begin()
    metering, client, _ = metered(gateway, "responses")
    assert await metering.outgoing(Message("{}".encode("utf-16"), text=False)) is None
    assert len(client.sent) == 1


async def test_a_stranger_cannot_be_named(begin: Begin) -> None:
    gateway = await begin()
    metering, client, _ = metered(gateway, "responses")
    body = {"type": "response.create", "model": "gpt-4o-mini", "previous_response_id": "resp_of_others"}
    assert await metering.outgoing(message(body)) is None
    assert json.loads(client.sent[0].data)["status"] in (400, 404)
    assert await metering.outgoing(message(body | {"previous_response_id": None})) is not None
    await metering.incoming(created("resp_mine"))
    assert await metering.outgoing(message(body | {"previous_response_id": "resp_mine"})) is not None
    metering.abandon(Outcome.COMPLETE)
    await gateway.concluded()


async def test_a_turn_that_never_began_is_charged_its_input(begin: Begin) -> None:
    gateway = await begin(limits='["10k tokens/day"]')
    metering, _, _ = metered(gateway, "responses")
    await metering.outgoing(
        message({"type": "response.create", "model": "gpt-4o-mini", "input": "a b c", "max_output_tokens": 9})
    )
    metering.abandon(Outcome.TRUNCATED)
    assert metering.idle
    row = await books.row(gateway)
    assert (row.settled, row.output) == ("estimate", 0)
    assert row.input > 3


async def test_a_transcription_that_no_limit_has_room_for_is_charged_and_ends_the_session(
    begin: Begin,
) -> None:
    gateway = await begin(limits='["20 tokens/day"]')
    metering, client, _ = metered(gateway)
    with pytest.raises(Over) as over:
        await metering.incoming(message(transcribed(30, 4)))
    assert over.value.close.code == 1008
    assert json.loads(client.sent[0].data)["error"]["code"] == "insufficient_quota"
    assert await books.used(gateway) == [34]


async def test_a_transcription_by_the_second_is_a_row_without_tokens(begin: Begin) -> None:
    gateway = await begin()
    metering, _, _ = metered(gateway)
    said = transcribed() | {"usage": {"type": "duration", "seconds": 3.2}}
    await metering.incoming(message(said))
    row = await books.row(gateway)
    assert (row.input, row.output) == (0, 0)


async def test_a_response_that_was_under_way_before_is_paid_for(begin: Begin) -> None:
    gateway = await begin()
    metering, _, _ = metered(gateway)
    await metering.incoming(message(done("r0", "completed", 3, 2, spoken=True)))
    row = await books.row(gateway)
    assert (row.input, row.output) == (3, 2)


async def test_cancelling_names_what_runs(begin: Begin) -> None:
    gateway = await begin()
    metering, _, upstream = metered(gateway)
    await metering.outgoing(message(ASK))
    await metering.incoming(created("r1"))
    assert await metering.cancel()
    assert json.loads(upstream.sent[0].data) == {"type": "response.cancel", "response_id": "r1"}
    metering.abandon(Outcome.CLIENT_GONE)
    await gateway.concluded()
    assert not await metered(gateway, "responses")[0].cancel()
