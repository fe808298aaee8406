"""Events as they are read, and as they are written."""

import json
from typing import Any

import pytest

from gateway.errors import QuotaExceeded
from gateway.policy.realtime import (
    Event,
    event_of,
    fault_of,
    id_of,
    lane,
    models_in,
    told,
    usage_of,
)
from gateway.policy.records import Usage


def event(**members: Any) -> Event:
    read = event_of(json.dumps(members).encode())
    assert read is not None
    return read


@pytest.mark.parametrize("data", [b"", b"[]", b"no", b'{"type":7}', b"\xff", b"[" * 100_000])
def test_what_is_no_event_is_none(data: bytes) -> None:
    assert event_of(data) is None


def test_usage_has_the_realtime_apis_own_names() -> None:
    stated = {
        "total_tokens": 253,
        "input_tokens": 132,
        "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 119,
            "audio_tokens": 13,
            "image_tokens": 2,
            "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    }
    assert usage_of(stated) == Usage(
        input=132, output=121, cached=64, input_audio=13, input_image=2, cached_audio=4, output_audio=91
    )


@pytest.mark.parametrize("stated", [None, {}, {"type": "duration", "seconds": 3.5}, {"input_tokens": -1}, 7])
def test_no_usage_is_none(stated: Any) -> None:
    assert usage_of(stated) is None


def test_a_transcription_is_counted_by_its_tokens() -> None:
    stated = {"type": "tokens", "input_tokens": 26, "output_tokens": 17, "total_tokens": 43}
    assert usage_of(stated) == Usage(input=26, output=17)


def test_names_of_lanes_responses_and_causes() -> None:
    assert lane(event(type="x", stream_id="a")) == "a"
    assert lane(event(type="x", stream_id=3)) == ""
    assert id_of(event(type="x", response_id="r1", response={"id": "r2"})) == "r1"
    assert id_of(event(type="response.created", response={"id": "r2"})) == "r2"
    assert id_of(event(type="response.created", response="?")) == ""
    assert fault_of(event(type="error", error={"event_id": "mine"})) == ("mine", False)
    second = {"code": "conversation_already_has_active_response", "event_id": None}
    assert fault_of(event(type="error", error=second)) == (None, True)


@pytest.mark.parametrize(
    "session",
    [
        {"model": "a", "audio": {"input": {"transcription": {"model": "b"}}}},
        {"model": "a", "input_audio_transcription": {"model": "b"}},
    ],
)
def test_all_models_of_a_session_are_found(session: Any) -> None:
    assert list(models_in(session)) == ["a", "b"]


@pytest.mark.parametrize("session", [None, [], {"audio": 3}, {"audio": {"input": []}}, {"model": 7}])
def test_and_none_where_there_is_none(session: Any) -> None:
    assert list(models_in(session)) == []


def test_errors_look_as_each_api_sends_them() -> None:
    error = QuotaExceeded("spent", param="p")
    cause = event(type="response.create", event_id="mine", stream_id="a")
    spoken = json.loads(told(error, "realtime", "event_1", cause))
    assert spoken == {
        "type": "error",
        "event_id": "event_1",
        "error": {
            "type": "insufficient_quota",
            "code": "insufficient_quota",
            "message": "spent",
            "param": "p",
            "event_id": "mine",
        },
    }
    said = json.loads(told(error, "responses", "event_1", cause))
    assert (said["status"], said["stream_id"], said["error"]["code"]) == (429, "a", "insufficient_quota")
