"""A chat over the public API: what is asked, how answers arrive, and how they fail."""

import json

import click
import pytest

from gateway.commands.conversation import Conversation, default_model
from tests.commands.conftest import CLIENT_KEY, Answering

CHAT = "/v1/chat/completions"


def stream(*texts: str, end: bytes = b"data: [DONE]\n\n") -> bytes:
    events = [{"choices": [{"delta": {"content": text}}]} for text in texts]
    return b": hello\n\n" + b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + end


def talking(server: Answering) -> Conversation:
    return Conversation(f"{server.url}/v1", CLIENT_KEY, "m")


def test_the_answer_comes_in_pieces_and_joins_the_conversation(server: Answering) -> None:
    server.answer("POST", CHAT, stream("Hé", "", "llo"), x_gateway_cache="miss", x_gateway_upstream="local")
    conversation = talking(server)
    assert [text for text in conversation.ask("Hi") if text] == ["Hé", "llo"]
    assert conversation.origin == "(cache: miss, upstream: local)"
    assert "".join(conversation.ask("Again")) == "Héllo"
    _, _, key, body = server.requests[1]
    assert key == f"Bearer {CLIENT_KEY}"
    assert body == {
        "model": "m",
        "stream": True,
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Héllo"},
            {"role": "user", "content": "Again"},
        ],
    }


def test_usage_and_unknown_events_say_nothing(server: Answering) -> None:
    body = b'data: {"choices": [], "usage": {}}\n\ndata: {"new": 1}\n\ndata: 5\n\ndata: oops\n\n' + stream(
        "a"
    )
    server.answer("POST", CHAT, body)
    assert "".join(talking(server).ask("Hi")) == "a"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (stream("a", end=b""), "cut off"),
        (
            stream("a", end=b'data: {"error": {"message": "The upstream is gone."}}\n\n'),
            "The upstream is gone.",
        ),
        (b"", "cut off"),
    ],
)
def test_an_answer_that_is_not_whole_does_not_join(server: Answering, body: bytes, message: str) -> None:
    server.answer("POST", CHAT, body)
    conversation = talking(server)
    with pytest.raises(click.ClickException, match=message):
        list(conversation.ask("Hi"))
    server.answer("POST", CHAT, stream("b"))
    assert "".join(conversation.ask("Again")) == "b"
    assert [each["content"] for each in server.requests[1][3]["messages"]] == ["Again"]


def test_a_refusal_says_when_to_try_again(server: Answering) -> None:
    server.answer("POST", CHAT, {"error": {"message": "Limit reached."}}, 429, retry_after="7")
    with pytest.raises(click.ClickException, match=r"Limit reached. \(try again in 7 s\)"):
        list(talking(server).ask("Hi"))


def test_a_stranger_is_recognised(server: Answering) -> None:
    server.answer("POST", CHAT, b"<html>", 404)
    with pytest.raises(click.ClickException, match="Is --base-url right"):
        list(talking(server).ask("Hi"))


@pytest.mark.parametrize(
    ("served", "model"),
    [
        ({"data": [{"id": "smollm2-135m-instruct"}]}, "smollm2-135m-instruct"),
        ({"data": [{"id": "gpt-3"}, {"id": "gpt-4o-mini"}]}, "gpt-4o-mini"),
        ({"data": []}, "gpt-4o-mini"),
        ({}, "gpt-4o-mini"),
        ([], "gpt-4o-mini"),
    ],
)
def test_the_model_is_one_that_is_served(server: Answering, served: object, model: str) -> None:
    server.answer("GET", "/v1/models", served)
    assert default_model(f"{server.url}/v1", CLIENT_KEY) == model


def test_the_gateway_without_the_v1_is_recognised(server: Answering) -> None:
    error = {"error": {"message": "Unknown URL."}}
    server.answer("GET", "/models", error, 404, x_gateway_error="unknown_url")
    with pytest.raises(click.ClickException, match="Is --base-url right"):
        default_model(server.url, CLIENT_KEY)


def test_a_wrong_key_is_said_before_the_chat(server: Answering) -> None:
    server.answer("GET", "/v1/models", {"error": {"message": "Incorrect API key provided."}}, 401)
    with pytest.raises(click.ClickException, match="Incorrect API key"):
        default_model(f"{server.url}/v1", CLIENT_KEY)
