"""What a session's URL asks for, and what of it goes on."""

import pytest

from gateway.errors import InvalidRequest
from gateway.sockets.handshake import Asked, asked_for, headers_for, query_for


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("model=gpt-realtime", Asked("gpt-realtime")),
        ("api-version=2024-10-01-preview&deployment=mine", Asked("mine")),
        ("call_id=rtc_1", Asked(call="rtc_1")),
        ("intent=transcription", Asked(transcribes=True)),
        ("model=org%2Fmodel&x=1", Asked("org/model")),
        ("", Asked()),
    ],
)
def test_queries_are_read(query: str, asked: Asked) -> None:
    assert asked_for(query) == asked


@pytest.mark.parametrize(
    "query",
    [
        "model=a&model=b",
        "mod%65l=a&model=b",
        "call_id=a&call_id=b",
        "model=%00",
        "model=" + "x" * 300,
        "a=\x01",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(query: str) -> None:
    with pytest.raises(InvalidRequest):
        asked_for(query)


def test_the_model_is_replaced_and_the_rest_goes_along() -> None:
    assert query_for("a[]=1&model=mine&b=%20", "org/real") == "model=org%2Freal&a[]=1&b=%20"
    assert query_for("call_id=rtc_1&api-version=7", None) == "call_id=rtc_1"


def test_of_headers_two_pass_and_nothing_else() -> None:
    given = {"openai-beta": "realtime=v1", "openai-safety-identifier": "u1", "cookie": "c", "origin": "o"}
    assert headers_for(given, Asked()) == (
        ("openai-beta", "realtime=v1"),
        ("openai-safety-identifier", "u1"),
        ("user-agent", "openai-team-gateway"),
    )
    assert ("openai-beta", "realtime=v1") in headers_for({}, Asked(beta="realtime=v1"))
    assert dict(headers_for(given, Asked(), "us"))["openai-safety-identifier"] == "u1"
    assert dict(headers_for({}, Asked(), "us"))["openai-safety-identifier"] == "us"
    with pytest.raises(InvalidRequest):
        headers_for({"openai-beta": "é"}, Asked())
