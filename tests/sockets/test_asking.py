"""What a `response.create` may ask, and what is sent for it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import Forbidden, GatewayError, InvalidRequest, UnknownUrl
from gateway.policy.realtime import event_of
from gateway.sockets.asking import RESPONSES, check_update, fresh, read_request
from tests.running import Running
from tests.sockets.conftest import Begin, session_of

ALIASES = '[models.aliases]\n"team" = "gpt-4o-mini"\n'


def asked(gateway: Running, body: str) -> tuple[bytes, Any]:
    session = session_of(gateway, "/v1/responses")
    assert session.client is not None
    turn = fresh(gateway.gateway, session, 7, session.client, RESPONSES)
    return read_request(gateway.gateway, turn, body.encode()), turn


async def test_the_clients_bytes_go_on_but_for_the_alias(begin: Begin) -> None:
    gateway = await begin(ALIASES)
    body = '{ "type":"response.create", "model" : "team","input":"\\u00e9",  "new":1e2}'
    sent, turn = asked(gateway, body)
    assert sent.decode() == body.replace('"team"', '"gpt-4o-mini"')
    assert turn.id == "req_1.7"
    assert (turn.models, turn.upstream, turn.facts.stream) == (("team", "gpt-4o-mini"), "scripted", True)
    plain = '{"type":"response.create","model":"gpt-5","input":"x"}'
    assert asked(gateway, plain)[0].decode() == plain


async def test_a_limits_bound_is_put_in(begin: Begin) -> None:
    limit = '[{limit = "1M tokens/day", cap_output = 77}]'
    gateway = await begin(limits=limit)
    sent, turn = asked(gateway, '{"type":"response.create","model":"gpt-5","input":"x"}')
    assert json.loads(sent)["max_output_tokens"] == 77
    assert turn.facts.max_output == 77


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"type":"response.create","model":"a","model":"b"}', InvalidRequest),
        ('{"type":"response.create","model":"gpt-5","max_output_tokens":-1}', InvalidRequest),
    ],
)
async def test_what_cannot_be_counted_is_refused(begin: Begin, body: str, error: type[GatewayError]) -> None:
    gateway = await begin()
    with pytest.raises(error):
        asked(gateway, body)


async def test_a_session_stays_with_its_upstream(begin: Begin) -> None:
    gateway = await begin()
    session = session_of(gateway, "/v1/responses", upstream="another")
    assert session.client is not None
    turn = fresh(gateway.gateway, session, 1, session.client, RESPONSES)
    with pytest.raises(UnknownUrl):
        read_request(gateway.gateway, turn, b'{"type":"response.create","model":"gpt-5"}')


async def test_a_transcriber_needs_a_price_where_dollars_are_counted(begin: Begin) -> None:
    gateway = await begin(limits='["$5/day"]')
    session = session_of(gateway)
    client = session.client
    assert client is not None

    def change(text: str) -> None:
        event = event_of(text.encode())
        assert event is not None
        check_update(gateway.gateway, session, client, text.encode(), event)

    named = '{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"%s"}}}}}'
    change(named % "gpt-4o-transcribe")
    change('{"type":"session.update","session":7}')
    with pytest.raises(InvalidRequest) as refused:
        change(named % "nobodys-model")
    assert refused.value.code == "model_not_priced"
    with pytest.raises(InvalidRequest) as refused:
        change('{"type":"session.update","session":{"audio":{},"audio":{"input":{}}}}')
    assert refused.value.code == "duplicate_key"


async def test_and_the_clients_right_to_it(begin: Begin) -> None:
    gateway = await begin()
    session = session_of(gateway)
    assert session.client is not None
    narrow = replace(session.client, models=(("gpt-realtime",),))
    text = b'{"type":"session.update","session":{"input_audio_transcription":{"model":"whisper-1"}}}'
    event = event_of(text)
    assert event is not None
    with pytest.raises(Forbidden):
        check_update(gateway.gateway, session, narrow, text, event)
