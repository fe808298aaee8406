"""Responses in a WebSocket are paid for to the token, and bounded by every limit."""

import asyncio
import json
import random
from typing import Any

from aiohttp import WSMsgType, web

from tests.realtime import Realtime, transcribed
from tests.sessions import MODEL, Begin, connect, event, turns, used
from tests.waiting import until


async def test_the_ledger_says_what_the_upstream_billed(begin: Begin, up: Realtime) -> None:
    """Sixty turns in six sessions, some cancelled, some left in the middle of one."""
    gateway = await begin(limits='["10M tokens/day", "$1000/day"]')
    dice = random.Random(7)
    up.usage = lambda number: (dice.randrange(1, 3000), dice.randrange(1, 900))
    for _ in range(6):
        async with connect(gateway) as socket:
            await event(socket, "session.created")
            for _ in range(10):
                cancelled = dice.random() < 0.3
                up.hold = asyncio.Event() if cancelled else None
                await socket.send_json({"type": "response.create"})
                await event(socket, "response.output_text.delta")
                if cancelled and dice.random() < 0.3:
                    break  # hang up; the gateway cancels it and hears what it was
                if cancelled:
                    await socket.send_json({"type": "response.cancel"})
                await event(socket, "response.done")
        await gateway.concluded()
    booked = await turns(gateway)
    assert up.cancelled > 3
    assert [(row.input, row.output) for row in booked] == up.billed
    assert {row.settled for row in booked} == {"usage"}
    tokens, nano = await used(gateway)
    assert tokens == sum(map(sum, up.billed))
    assert nano == sum(row.cost or 0 for row in booked)
    page = await gateway.metrics()
    assert 'gateway_settlements_total{source="usage"} ' + f"{float(len(booked))}" in page


async def test_lanes_of_responses_do_not_mix(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["1M tokens/day"]')
    up.hold = asyncio.Event()
    async with connect(gateway, "/v1/responses") as socket:
        for lane, text in (("a", "first"), ("b", "second"), ("a", "third")):
            await socket.send_json(
                {"type": "response.create", "stream_id": lane, "model": "gpt-4o-mini", "input": text}
            )
        await until(lambda: len(up.received) == 3)
        up.hold.set()
        for _ in range(3):
            await event(socket, "response.completed")
    assert sorted((row.input, row.output) for row in await turns(gateway)) == sorted(up.billed)


async def test_a_budget_for_exactly_three_turns(begin: Begin, up: Realtime) -> None:
    """Worst case of one: what the last one read and wrote, the event's 64 bytes, and its 100 tokens."""
    gateway = await begin(limits='["500 tokens/day"]')
    up.usage = lambda number: (10, 100)
    ask = {"type": "response.create", "response": {"max_output_tokens": 100}}
    async with connect(gateway) as socket:
        await event(socket, "session.created")
        for _ in range(3):
            await socket.send_json(ask)
            said = await event(socket, "response.done")
            assert said["response"]["status"] == "completed"
        await socket.send_json(ask)
        told = await event(socket, "error")
        assert told["error"]["code"] == told["error"]["type"] == "insufficient_quota"
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)
        assert message.extra == "insufficient_quota"
    assert up.types().count("response.create") == 3
    assert await used(gateway) == [330]


async def test_or_the_answer_alone_is_refused(begin: Begin, up: Realtime) -> None:
    gateway = await begin('[realtime]\nexhausted = "refuse"\n', limits='["10k tokens/day"]')
    async with connect(gateway) as socket:
        await event(socket, "session.created")
        asked = {"type": "response.create", "event_id": "mine"}
        await socket.send_json(asked | {"response": {"max_output_tokens": 20_000}})
        told = await event(socket, "error")
        assert (told["error"]["event_id"], told["error"]["code"]) == ("mine", "insufficient_quota")
        await socket.send_json(asked | {"response": {"max_output_tokens": 20}})
        await event(socket, "response.done")
    assert up.types() == ["response.create"]
    refused, answered = await turns(gateway)
    assert (refused.error, refused.settled, refused.cost) == ("insufficient_quota", "none", 0)
    assert answered.settled == "usage"


async def test_what_begins_by_itself_is_paid_for_too(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["100k tokens/day"]')
    async with connect(gateway) as socket:
        await socket.send_json({"type": "input_audio_buffer.append", "audio": "AAAA", "speech": True})
        await event(socket, "response.done")
    (row,) = await turns(gateway)
    assert (row.input, row.output, row.settled) == (10, 1, "usage")
    assert await used(gateway) == [11]


async def test_and_is_cancelled_where_it_cannot_be(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["100 tokens/day"]')
    up.hold = asyncio.Event()
    async with connect(gateway) as socket:
        await socket.send_json({"type": "input_audio_buffer.append", "audio": "AAAA", "speech": True})
        told = await event(socket, "error")
        assert told["error"]["code"] == "insufficient_quota"
        assert (await socket.receive()).data == 1008
    (row,) = await turns(gateway)
    assert up.cancelled == 1
    assert (row.input, row.output) == up.billed[0]
    assert await used(gateway) == [sum(up.billed[0])]


async def test_transcriptions_are_charged_to_their_own_model(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["100k tokens/day", "$5/day"]')
    listening = {
        "type": "transcription",
        "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}},
    }
    async with connect(gateway, "/v1/realtime?intent=transcription") as socket:
        await socket.send_json({"type": "session.update", "session": listening})
        await event(socket, "session.updated")
        await socket.send_json({"type": "input_audio_buffer.commit"})
        await event(socket, transcribed()["type"])
    (row,) = await turns(gateway)
    assert (row.sent, row.input, row.output) == ("gpt-4o-transcribe", 30, 4)
    assert (await used(gateway))[0] == 34
    assert row.cost


async def test_a_key_may_not_choose_any_transcriber(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "narrow", "models": [MODEL]}) as answer:
        key = (await answer.json())["key"]
    listening = {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
    twice = '{"type":"session.update","session":{"a":1},"session":{}}'
    async with connect(gateway, key=key) as socket:
        await event(socket, "session.created")
        await socket.send_json({"type": "session.update", "session": listening})
        assert (await event(socket, "error"))["error"]["code"] == "model_not_allowed"
        await socket.send_str(twice)
        assert (await event(socket, "error"))["error"]["code"] == "duplicate_key"
        await socket.send_str("no json")
        assert (await event(socket, "error"))["error"]["code"] == "invalid_json"
    assert up.received == []


async def test_an_error_in_place_of_a_response_costs_nothing(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["100k tokens/day"]')

    async def wrong(socket: web.WebSocketResponse, asked: dict[str, Any], spoken: bool) -> None:
        fault = {
            "type": "invalid_request_error",
            "code": "bad",
            "message": "no",
            "event_id": asked["event_id"],
        }
        await socket.send_json({"type": "error", "event_id": "e", "error": fault})

    up._respond = wrong  # type: ignore[method-assign]
    async with connect(gateway) as socket:
        await socket.send_json({"type": "response.create", "event_id": "x1"})
        await event(socket, "error")
        await gateway.concluded()
        assert await used(gateway) == [0]
    (row,) = await turns(gateway)
    assert (row.status, row.cost, row.settled) == (400, 0, "none")


async def test_what_is_under_way_is_charged_if_nobody_lives_to_settle_it(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["100k tokens/day"]')
    up.hold = asyncio.Event()
    async with connect(gateway) as socket:
        await socket.send_json({"type": "response.create", "response": {"max_output_tokens": 50}})
        await until(lambda: "response.create" in up.types())
        after_the_lease = gateway.gateway.clock.now() + gateway.gateway.settings.store.lease.ms + 1
        (row,) = [json.loads(row) for row in await gateway.gateway.holds.expire(after_the_lease) if row]
        assert (row["settled"], row["output"]) == ("lease", 50)
        assert row["id"].endswith(".1")
        up.hold.set()
        await event(socket, "response.done")
    _, correction = [one for one in await turns(gateway) if one.id == row["id"]]
    assert correction.correction
    assert correction.output == 1 - 50
