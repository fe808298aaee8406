"""How large the next response can be."""

import json
from typing import Any

import pytest

from gateway.policy.conversation import Conversation
from gateway.policy.realtime import Response, event_of
from gateway.policy.records import Usage


def client(conversation: Conversation, **members: Any) -> None:
    data = json.dumps(members).encode()
    event = event_of(data)
    assert event is not None
    conversation.client(data, event)


def server(conversation: Conversation, **members: Any) -> None:
    data = json.dumps(members).encode()
    event = event_of(data)
    assert event is not None
    conversation.server(data, event)


def test_input_is_what_was_there_and_what_came_since() -> None:
    conversation = Conversation("gpt-realtime")
    assert conversation.most_input() == 0
    client(conversation, type="conversation.item.create", item={"content": [{"text": "x" * 500}]})
    first = conversation.most_input()
    assert 500 < first < 700
    conversation.began()
    client(conversation, type="input_audio_buffer.append", audio="A" * 50_000)
    conversation.ended(Response(), Usage(120, 30))
    assert 150 + 100 < conversation.most_input() < 150 + 110


def test_never_more_than_the_models_context() -> None:
    for model, context in (("gpt-realtime", 32_768), ("gpt-realtime-mini", 32_768), ("newer", 131_072)):
        conversation = Conversation(model)
        client(conversation, type="conversation.item.create", item={"text": "x" * 1_000_000})
        assert conversation.most_input() == context


def test_where_audio_comes_another_way_only_the_context_bounds_it() -> None:
    assert Conversation("gpt-realtime", blind=True).most_input() == 32_768


def test_a_response_outside_the_conversation_leaves_it_as_it_was() -> None:
    conversation = Conversation("gpt-realtime")
    conversation.ended(Response(), Usage(1000, 50))
    conversation.ended(Response(conversation_id=None), Usage(3, 1))
    assert conversation.most_input() == 1050


def test_the_servers_own_instructions_count() -> None:
    conversation = Conversation(None)
    server(conversation, type="session.created", session={"model": "gpt-realtime", "instructions": "x" * 900})
    assert conversation.model == "gpt-realtime"
    assert conversation.most_input() > 900


@pytest.mark.parametrize("name", ["max_output_tokens", "max_response_output_tokens"])
def test_a_looser_bound_counts_at_once_and_a_tighter_one_when_it_holds(name: str) -> None:
    conversation = Conversation("gpt-realtime")
    client(conversation, type="session.update", session={name: 100})
    assert conversation.facts(None).max_output is None
    server(conversation, type="session.updated", session={name: 100})
    assert conversation.facts(None).max_output == 100
    client(conversation, type="session.update", session={name: 4000})
    assert conversation.facts(None).max_output == 4000
    client(conversation, type="session.update", session={name: "inf"})
    assert conversation.facts(None).max_output is None


def test_a_responses_own_wishes_win() -> None:
    conversation = Conversation("gpt-realtime")
    response = {"max_output_tokens": 7, "output_modalities": ["text"]}
    asked = event_of(json.dumps({"type": "response.create", "response": response}).encode())
    assert asked is not None
    facts = conversation.facts(asked)
    assert (facts.max_output, facts.audio, facts.stream) == (7, False, True)
    assert conversation.facts(None).audio
    endless = event_of(b'{"type":"response.create","response":{"max_output_tokens":"inf"}}')
    server(conversation, type="session.updated", session={"max_output_tokens": 5, "modalities": ["text"]})
    assert conversation.facts(endless).max_output is None
    assert not conversation.facts(None).audio


def test_who_transcribes_is_known() -> None:
    conversation = Conversation(None)
    listening = {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
    client(conversation, type="session.update", session=listening)
    assert conversation.transcriber == "gpt-4o-transcribe"
