"""What a passed answer used is found whatever it looks like and however it is cut."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.endpoints import Body, Charge, Endpoint
from gateway.policy.records import Usage
from gateway.policy.taps import EventTap, JsonTap, Tap, TextTap, tap_for
from gateway.policy.usage import TEXT_KEPT

IMAGES, SPEECH, TRANSCRIPTIONS = "images.generate", "audio.speech.create", "audio.transcriptions.create"
# As in the examples of OpenAI's description of its API.
GENERATED = {
    "total_tokens": 100,
    "input_tokens": 50,
    "output_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}
HEARD = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 10, "audio_tokens": 4},
    "output_tokens": 101,
    "total_tokens": 115,
}
SECONDS = {"type": "duration", "seconds": 8.5}


def endpoint(name: str, charge: Charge = Charge.USAGE) -> Endpoint:
    return Endpoint(name, "POST", "/x", "inference", Body.JSON, charge)


def fed(tap: Tap, data: bytes, cuts: list[int] | None = None) -> Tap:
    for start, end in pairwise([0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]):
        tap.feed(data[start:end])
    tap.end()
    return tap


def events(*given: dict[str, Any], newline: str = "\n") -> bytes:
    lines = [f"event: {event.get('type', 'x')}{newline}data: {json.dumps(event)}" for event in given]
    return "".join(line + newline * 2 for line in lines).encode()


@pytest.mark.parametrize(
    ("name", "status", "headers", "kind"),
    [
        (IMAGES, 200, {"content-type": "application/json; charset=utf-8"}, JsonTap),
        (IMAGES, 200, {"content-type": "text/event-stream"}, EventTap),
        (TRANSCRIPTIONS, 200, {"content-type": "text/plain"}, TextTap),
        (TRANSCRIPTIONS, 200, {"content-type": "text/vtt"}, TextTap),
        (IMAGES, 200, {"content-type": "text/plain"}, None),
        (SPEECH, 200, {"content-type": "audio/mpeg"}, None),
        (SPEECH, 200, {}, None),
        (IMAGES, 400, {"content-type": "application/json"}, None),
        (IMAGES, 200, {"content-type": "application/json", "content-encoding": "gzip"}, None),
        (IMAGES, 200, {"content-type": "application/json", "content-encoding": "identity"}, JsonTap),
    ],
)
def test_by_its_head_it_is_known_how_to_read_it(
    name: str, status: int, headers: dict[str, str], kind: type | None
) -> None:
    tap = tap_for(endpoint(name), status, headers)
    assert (type(tap) if tap is not None else None) is kind


@pytest.mark.parametrize("charge", [Charge.FREE, Charge.FEE])
def test_what_is_not_paid_for_by_usage_is_not_read(charge: Charge) -> None:
    assert tap_for(endpoint("files.list", charge), 200, {"content-type": "application/json"}) is None


@pytest.mark.parametrize("last", [False, True])
def test_the_usage_of_a_picture_is_found_before_and_after_it(last: bool) -> None:
    picture = {"data": [{"b64_json": "QUJD" * 2_000_000, "usage": {"input_tokens": 1, "output_tokens": 1}}]}
    answer = picture | {"usage": GENERATED} if last else {"usage": GENERATED} | picture
    tap = fed(JsonTap(IMAGES), json.dumps(answer).encode(), list(range(0, 8_000_000, 65_536)))
    assert tap.usage == Usage(50, 50, input_image=40, output_image=50)


def test_details_of_what_came_out_are_believed() -> None:
    stated = GENERATED | {"output_tokens_details": {"text_tokens": 8, "image_tokens": 42}}
    tap = fed(JsonTap(IMAGES), json.dumps({"usage": stated, "service_tier": "flex"}).encode())
    assert tap.usage == Usage(50, 50, input_image=40, output_image=42, tier="flex")


def test_a_transcription_states_tokens_in_the_singular() -> None:
    tap = fed(JsonTap(TRANSCRIPTIONS), json.dumps({"text": "Hi there.", "usage": HEARD}).encode())
    assert tap.usage == Usage(14, 101, input_audio=4)
    assert (tap.texts, tap.text_bytes) == (["Hi there."], 9)


def test_seconds_are_no_tokens_but_say_how_many() -> None:
    tap = fed(JsonTap(TRANSCRIPTIONS), json.dumps({"text": "Hi", "usage": SECONDS}).encode())
    assert tap.usage is None
    assert tap.estimate(9999, 3) == Usage(85, 3, estimated=True, input_audio=85)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"usage": null}', b'{"usage": {"input_tokens": -1, "output_tokens": 2}}', b"{"]
)
def test_what_states_nothing_is_estimated(body: bytes) -> None:
    tap = fed(JsonTap("responses.compact"), body)
    assert (tap.usage, tap.texts) == (None, [])
    assert tap.estimate(7, 8) == Usage(7, 8, estimated=True)


def test_what_was_broken_off_may_have_said_it() -> None:
    whole = json.dumps({"usage": GENERATED, "data": [{"b64_json": "QUJD"}]}).encode()
    tap = JsonTap(IMAGES)
    tap.feed(whole[:-6])
    assert tap.usage is None
    tap.end()
    assert tap.usage is not None


def test_the_words_of_a_compaction_are_what_it_wrote() -> None:
    items = [{"type": "message", "content": [{"type": "output_text", "text": "short"}]}]
    tap = fed(JsonTap("responses.compact"), json.dumps({"id": "r", "output": items}).encode())
    assert tap.texts == ["short"]


def test_plain_text_is_its_own_text() -> None:
    tap = fed(TextTap(TRANSCRIPTIONS), "WEBVTT\n\n好".encode(), [9])
    assert (tap.texts, tap.text_bytes, tap.usage) == (["WEBVTT\n\n好"], 11, None)
    tap.feed(b"x" * 2 * TEXT_KEPT)
    assert (sum(map(len, tap.texts)) <= TEXT_KEPT, tap.text_bytes) == (True, 2 * TEXT_KEPT + 11)


STREAMS = {
    "image": (
        IMAGES,
        [
            {"type": "image_generation.partial_image", "b64_json": "QUJD" * 500, "usage": None},
            {"type": "image_generation.completed", "b64_json": "QUJD" * 900, "usage": GENERATED},
        ],
        Usage(50, 50, input_image=40, output_image=50),
        "",
    ),
    "transcription": (
        TRANSCRIPTIONS,
        [
            {"type": "transcript.text.delta", "delta": "I see "},
            {"type": "transcript.text.delta", "delta": "skies"},
            {"type": "transcript.text.done", "text": "I see skies", "usage": HEARD},
        ],
        Usage(14, 101, input_audio=4),
        "I see skies",
    ),
    "speech": (
        SPEECH,
        [
            {"type": "speech.audio.delta", "audio": "QUJD" * 700},
            {"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101}},
        ],
        Usage(14, 101),
        "",
    ),
    # The steps of a run come before the run, which is the sum of them.
    "run": (
        "threads.runs.create",
        [
            {"object": "thread.run.step", "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
            {"object": "thread.run", "usage": {"prompt_tokens": 5, "completion_tokens": 6}},
        ],
        Usage(5, 6),
        "",
    ),
}


@pytest.mark.parametrize("which", STREAMS)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@given(cuts=st.lists(st.integers(0, 10_000), max_size=30))
def test_every_cut_of_a_stream_says_the_same(which: str, newline: str, cuts: list[int]) -> None:
    name, given, usage, text = STREAMS[which]
    tap = fed(EventTap(name), b": hello" + newline.encode() * 2 + events(*given, newline=newline), cuts)
    assert (tap.usage, "".join(tap.texts), tap.failed) == (usage, text, False)


def test_each_picture_of_a_stream_is_paid_for() -> None:
    done = {"type": "image_edit.completed", "b64_json": "QUJD" * 500_000, "usage": GENERATED}
    tap = fed(EventTap("images.edit"), events(done, done), list(range(0, 4_000_000, 65_536)))
    assert tap.usage == Usage(100, 100, input_image=80, output_image=100)


def test_data_in_several_lines_is_one_object() -> None:
    stated = json.dumps(
        {"type": "speech.audio.done", "usage": {"input_tokens": 1, "output_tokens": 2}}, indent=1
    )
    lines = "".join(f"data:{line}\n" for line in stated.splitlines())
    assert fed(EventTap(SPEECH), lines.encode() + b"\n").usage == Usage(1, 2)


def test_an_event_that_ends_with_the_stream_counts() -> None:
    whole = events({"type": "speech.audio.done", "usage": {"input_tokens": 1, "output_tokens": 2}})
    assert fed(EventTap(SPEECH), whole[:-1]).usage == Usage(1, 2)


@pytest.mark.parametrize("event", [{"type": "error", "message": "no"}, {"error": {"code": "x"}}])
def test_an_error_in_a_stream_is_a_failure(event: dict[str, Any]) -> None:
    assert fed(EventTap(IMAGES), events(event)).failed
    assert not fed(EventTap(IMAGES), events({"type": "x", "error": None})).failed


@given(st.binary(max_size=300))
def test_a_stream_of_anything_fails_nothing(data: bytes) -> None:
    fed(EventTap(IMAGES), data)
    fed(JsonTap(IMAGES), data)
