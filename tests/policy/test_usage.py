import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.records import Usage
from gateway.policy.sse import Piece
from gateway.policy.usage import (
    TEXT_KEPT,
    Meter,
    estimate_of,
    is_usage_chunk,
    output_texts,
    states_usage,
    usage_of,
)

COUNTS = {
    "prompt_tokens": 10,
    "completion_tokens": 7,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
RESPONSE_COUNTS = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 17,
}
USAGE = Usage(10, 7, 4, 2)
DONE = b"data: [DONE]\n\n"
USAGE_CHUNK = {"choices": [], "usage": COUNTS}


def event(data: Any, kind: str = "") -> bytes:
    return (f"event: {kind}\n" if kind else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def chunk(content: str | None = None, reason: str | None = None, index: int = 0, **delta: Any) -> bytes:
    choice = {"index": index, "delta": {"content": content, **delta}, "finish_reason": reason}
    return event({"choices": [choice], "usage": None})


def metered(endpoint: str, *events: bytes, hide_usage: bool = True) -> tuple[Meter, list[bytes]]:
    meter = Meter(endpoint, hide_usage)
    return meter, [raw for raw in map(meter.event, events) if raw is not None]


def chat(*events: bytes) -> Meter:
    return metered("chat.completions", *events)[0]


def response(type_: str, **members: Any) -> bytes:
    return event({"type": type_, "sequence_number": 1, **members}, type_)


@pytest.mark.parametrize(
    ("endpoint", "stated", "usage"),
    [
        ("chat.completions", COUNTS, USAGE),
        ("completions", {"prompt_tokens": 1, "completion_tokens": 0}, Usage(1, 0)),
        ("responses", RESPONSE_COUNTS, USAGE),
        ("embeddings", {"prompt_tokens": 8, "total_tokens": 8}, Usage(8, 0)),
        ("moderations", COUNTS, None),
        ("chat.completions", RESPONSE_COUNTS, None),
        ("chat.completions", {**COUNTS, "completion_tokens": "7"}, None),
        ("chat.completions", {**COUNTS, "prompt_tokens": 10**18}, None),
        ("chat.completions", None, None),
    ],
)
def test_usage_of_a_plain_answer(endpoint: str, stated: Any, usage: Usage | None) -> None:
    body = json.dumps({"id": "x", "choices": [], "usage": stated}).encode()
    assert usage_of(endpoint, body) == usage


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"usage":', b'{"error":{"message":"no"}}'])
def test_no_usage(body: bytes) -> None:
    assert usage_of("chat.completions", body) is None


def test_output_texts_of_plain_answers() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "a", "refusal": "b", "tool_calls": [call]}
    choices = [{"index": 0, "message": message}, {"index": 1, "message": {"reasoning_content": "c"}}]
    assert output_texts("chat.completions", json.dumps({"choices": choices}).encode()) == [
        *("a", "b", "f", "{}"),
        "c",
    ]
    assert output_texts("completions", b'{"choices":[{"text":"a","index":0}]}') == ["a"]
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}]},
        {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "b"}]},
        {"type": "function_call", "id": "fc_1", "name": "f", "arguments": "{}"},
    ]
    assert output_texts("responses", json.dumps({"output": output}).encode()) == ["a", "b", "f", "{}"]
    assert output_texts("embeddings", b'{"data":[]}') == []
    assert output_texts("chat.completions", b"<html>") == []


def test_a_whole_stream() -> None:
    events = [chunk("", role="assistant"), chunk("Hel"), chunk("lo"), chunk(None, "stop")]
    meter, passed = metered("chat.completions", *events, event(USAGE_CHUNK), DONE)
    assert passed == [*events, DONE]
    assert meter.usage == USAGE
    assert meter.ended
    assert meter.finished
    assert "".join(meter.texts) == "Hello"
    assert meter.text_bytes == 5
    assert meter.events == 6
    assert (meter.failed, meter.filtered, meter.unread) == (False, False, False)


def test_the_usage_chunk_is_passed_to_a_client_that_asked() -> None:
    meter, passed = metered("chat.completions", event(USAGE_CHUNK), hide_usage=False)
    assert passed == [event(USAGE_CHUNK)]
    assert meter.usage == USAGE


@pytest.mark.parametrize(
    "kept",
    [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": COUNTS},
        {"choices": [], "prompt_filter_results": []},
        {"choices": [], "usage": None},
        {"usage": COUNTS},
    ],
)
def test_only_a_chunk_without_choices_and_with_usage_is_hidden(kept: Any) -> None:
    assert metered("completions", event(kept))[1] == [event(kept)]


def test_the_last_usage_that_can_be_believed_wins() -> None:
    later = {**COUNTS, "completion_tokens": 9}
    absurd = {**COUNTS, "completion_tokens": 10**18}
    negative = {**COUNTS, "prompt_tokens": -1}
    meter = chat(*(event({"choices": [], "usage": usage}) for usage in (COUNTS, later, absurd, negative)))
    assert meter.usage == Usage(10, 9, 4, 2)


def test_finished_is_every_choice_and_ended_is_done() -> None:
    meter = chat(chunk("a", index=0), chunk("b", index=1), chunk(None, "stop", index=0))
    assert not meter.finished
    meter.event(chunk(None, "length", index=1))
    assert meter.finished
    assert not meter.ended
    meter.event(DONE)
    assert meter.ended
    assert meter.reasons == {0: "stop", 1: "length"}


def test_a_content_filter_is_noticed() -> None:
    assert chat(chunk(None, "content_filter")).filtered
    details = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    meter, _ = metered("responses", response("response.incomplete", response=details))
    assert meter.filtered
    assert meter.ended


@pytest.mark.parametrize(
    "error", [event({"error": {"message": "no"}}), b"event: error\ndata: no\n\n", event({"x": 1}, "error")]
)
@pytest.mark.parametrize("endpoint", ["chat.completions", "responses"])
def test_an_error_event_is_passed_on_and_noticed(endpoint: str, error: bytes) -> None:
    meter, passed = metered(endpoint, error)
    assert passed == [error]
    assert meter.failed
    assert not meter.ended


def test_the_word_error_is_no_error() -> None:
    assert not chat(chunk("error: event: error"), event({"choices": [], "error": None})).failed


@pytest.mark.parametrize(
    "raw", [b"data: {\n\n", b"data: 7\n\n", b'data: {"choices":7}\n\n', Piece(b"data: [DO")]
)
def test_what_cannot_be_read_is_passed_on(raw: bytes) -> None:
    meter, passed = metered("chat.completions", raw)
    assert passed == [raw]
    assert meter.unread
    assert not meter.ended


def test_a_comment_says_nothing() -> None:
    meter, passed = metered("chat.completions", b": ping\n\n", b"\n")
    assert passed == [b": ping\n\n", b"\n"]
    assert not meter.unread


def test_all_that_the_model_writes_is_text() -> None:
    call = {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": "{}"}}
    meter = chat(
        chunk(refusal="a", reasoning_content="b"),
        chunk(reasoning="c", function_call={"name": "g", "arguments": "()"}),
        chunk(tool_calls=[call]),
        event({"choices": [{"index": 0, "text": "d"}]}),
    )
    assert "".join(meter.texts) == "abcg()f{}d"


def test_text_is_kept_up_to_a_bound_and_counted_beyond() -> None:
    piece = "好" * 1000
    meter = Meter("chat.completions", hide_usage=False)
    for _ in range(500):
        meter.event(chunk(piece))
    assert meter.text_bytes == 500 * 3000
    assert TEXT_KEPT - 3000 <= len("".join(meter.texts).encode()) <= TEXT_KEPT


def test_a_response() -> None:
    meter, passed = metered(
        "responses",
        response("response.created", response={"status": "in_progress", "usage": None}),
        response("response.output_text.delta", delta="Hi"),
        response("response.function_call_arguments.delta", delta="{}"),
        response("response.output_text.done", text="Hi"),
        response("response.audio.delta", delta="UklGRg=="),
        response("response.completed", response={"status": "completed", "usage": RESPONSE_COUNTS}),
    )
    assert len(passed) == 6
    assert meter.usage == USAGE
    assert "".join(meter.texts) == "Hi{}"
    assert meter.ended
    assert meter.finished


@pytest.mark.parametrize(
    ("type_", "ended", "failed", "finished"),
    [
        ("response.completed", True, False, True),
        ("response.incomplete", True, False, True),
        ("response.failed", True, True, False),
        ("response.cancelled", True, False, False),
        ("response.in_progress", False, False, False),
        ("error", False, True, False),
    ],
)
def test_how_a_response_ends(type_: str, ended: bool, failed: bool, finished: bool) -> None:
    meter, _ = metered("responses", response(type_, response={"usage": RESPONSE_COUNTS}))
    assert (meter.ended, meter.failed, meter.finished) == (ended, failed, finished)
    assert (meter.usage == USAGE) is (ended)


def test_done_does_not_end_a_response() -> None:
    assert not metered("responses", DONE)[0].ended


def test_which_chunks_carry_usage() -> None:
    beside = event({"choices": [{"index": 0}], "usage": COUNTS})
    assert is_usage_chunk(event(USAGE_CHUNK))
    assert not is_usage_chunk(beside)
    assert not is_usage_chunk(DONE)
    assert states_usage(event(USAGE_CHUNK))
    assert states_usage(beside)
    assert not states_usage(chunk('"usage":null and "usage"'))
    assert not states_usage(b'data: {"choices":[],"usage":null}\n\n')


@given(st.sampled_from(["chat.completions", "completions", "responses", "other"]), st.binary(max_size=60))
def test_a_meter_never_raises_and_never_changes_an_event(endpoint: str, noise: bytes) -> None:
    for raw in (noise, b"data: " + noise + b"\n\n"):
        assert metered(endpoint, raw)[1] == [raw]


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3))
)
def test_wrong_members_do_no_harm(wrong: Any) -> None:
    for member in ("content", "tool_calls", "function_call", "index", "finish_reason"):
        choice = {"index": 0, "delta": {member: wrong}, **({} if member == "content" else {member: wrong})}
        assert len(metered("chat.completions", event({"choices": [choice]}))[1]) == 1
    assert len(metered("chat.completions", event({"choices": wrong, "usage": wrong}))[1]) == 1
    metered("responses", response("response.completed", response=wrong))


SEARCH = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}}
FILE_SEARCH = {"type": "file_search_call", "id": "fs_1"}


def test_a_plain_response_says_its_tier_and_its_calls() -> None:
    whole = {"service_tier": "priority", "output": [SEARCH, FILE_SEARCH], "usage": RESPONSE_COUNTS}
    body = json.dumps(whole).encode()
    assert usage_of("responses", body) == replace(USAGE, tier="priority", web_searches=1, file_searches=1)
    unsaid = json.dumps(whole | {"usage": None}).encode()
    assert usage_of("responses", unsaid) is None
    assert estimate_of("responses", unsaid, 3, 4) == Usage(
        3, 4, estimated=True, tier="priority", web_searches=1, file_searches=1
    )
    assert estimate_of("responses", b"<html>", 3, 4) == Usage(3, 4, estimated=True)


def test_an_output_of_another_shape_costs_no_usage() -> None:
    body = json.dumps({"output": {"a_call": 5}, "service_tier": 5, "usage": RESPONSE_COUNTS}).encode()
    assert usage_of("responses", body) == USAGE
    chat_body = json.dumps({"output": [SEARCH], "usage": COUNTS}).encode()
    assert usage_of("chat.completions", chat_body) == USAGE


def test_a_chat_stream_says_its_tier_on_its_chunks() -> None:
    first = event({"choices": [{"index": 0, "delta": {"content": "a"}}], "service_tier": "flex"})
    assert chat(first, event(USAGE_CHUNK)).usage == replace(USAGE, tier="flex")
    assert chat(event(USAGE_CHUNK | {"service_tier": "default"})).usage == replace(USAGE, tier="default")
    assert chat(first).estimate(3, 4) == Usage(3, 4, estimated=True, tier="flex")
    assert chat(first, event({"choices": [], "service_tier": 5})).tier == "flex"


def test_a_response_stream_counts_calls_as_they_come_and_as_they_are_told_at_the_end() -> None:
    added = response("response.output_item.added", item=SEARCH | {"action": None})
    done = response("response.output_item.done", item=SEARCH)
    meter, _ = metered("responses", added, done, response("response.output_item.added", item=FILE_SEARCH))
    assert meter.estimate(3, 4) == Usage(3, 4, estimated=True, web_searches=1, file_searches=1)
    told = {"usage": RESPONSE_COUNTS, "service_tier": "default", "output": [SEARCH]}
    meter.event(response("response.completed", response=told))
    assert meter.usage == replace(USAGE, tier="default", web_searches=1)
    short, _ = metered("responses", done, response("response.completed", response={"usage": RESPONSE_COUNTS}))
    assert short.usage == replace(USAGE, web_searches=1)
