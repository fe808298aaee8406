import json
from typing import Any

import pytest

from gateway.policy import replay_completions
from gateway.policy.records import Usage
from gateway.policy.replay_chunks import (
    LAST_EVENT,
    Family,
    UnfaithfulError,
    append,
    decoded,
    extend_logprobs,
    integer,
    objects,
    settle,
    to_body,
    to_events,
    with_usage,
    without_usage,
)

FAMILY = Family("completions", "whole", "part", replay_completions.split, replay_completions.join)
COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
CHOICE = {"text": "Hi", "index": 0, "logprobs": None, "finish_reason": "stop"}
ANSWER = {"id": "cmpl-1", "object": "whole", "created": 7, "model": "m", "choices": [CHOICE], "usage": COUNTS}


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chunk(**members: Any) -> bytes:
    return event({"id": "cmpl-1", "object": "part", "created": 7, "model": "m", "choices": []} | members)


def told(events: list[bytes]) -> list[Any]:
    assert events[-1] == LAST_EVENT
    return [json.loads(raw.removeprefix(b"data: ")) for raw in events[:-1]]


def body(answer: Any) -> bytes:
    return json.dumps(answer).encode()


def test_chunks_carry_usage_only_for_a_client_that_asked() -> None:
    silent = told(to_events(FAMILY, body(ANSWER), None, include_usage=False))
    assert all("usage" not in said for said in silent)
    *others, last = told(to_events(FAMILY, body(ANSWER), None, include_usage=True))
    assert all(said["usage"] is None for said in others)
    assert (last["choices"], last["usage"]) == ([], COUNTS)
    assert {said["object"] for said in [*others, last]} == {"part"}


def test_usage_is_made_of_what_the_upstream_said_and_never_of_an_estimate() -> None:
    mute = body({name: value for name, value in ANSWER.items() if name != "usage"})
    *_, last = told(to_events(FAMILY, mute, Usage(3, 2, 1, 0), include_usage=True))
    assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 1}
    *_, last = told(to_events(FAMILY, mute, Usage(3, 2, estimated=True), include_usage=True))
    assert last["choices"] != []


def test_what_is_unknown_is_said_once_and_kept() -> None:
    events = to_events(FAMILY, body(ANSWER | {"moderation": {"flagged": False}}), None, include_usage=True)
    assert sum(b"moderation" in raw for raw in events) == 1
    assert json.loads(to_body(FAMILY, events, None)) == ANSWER | {"moderation": {"flagged": False}}


def test_chunks_of_several_choices_are_put_in_order() -> None:
    parts = [(1, "b", None), (0, "a", None), (1, "B", "stop"), (0, "A", "length")]
    choices = [{"index": index, "text": text, "finish_reason": reason} for index, text, reason in parts]
    events = [*(chunk(choices=[choice], obfuscation="xyz") for choice in choices), LAST_EVENT]
    answer = json.loads(to_body(FAMILY, events, None))
    assert [(choice["index"], choice["text"], choice["finish_reason"]) for choice in answer["choices"]] == [
        (0, "aA", "length"),
        (1, "bB", "stop"),
    ]
    assert "obfuscation" not in answer
    assert "usage" not in answer


def test_a_chunk_without_an_identity_does_not_give_it() -> None:
    nameless = chunk(id="", created=0, prompt_filter_results=[1])
    events = [nameless, chunk(choices=[CHOICE]), nameless, LAST_EVENT]
    answer = json.loads(to_body(FAMILY, events, Usage(3, 2)))
    assert (answer["id"], answer["created"], answer["prompt_filter_results"]) == ("cmpl-1", 7, [1])
    assert answer["usage"]["total_tokens"] == 5


@pytest.mark.parametrize("document", [b"", b"[]", b'{"choices":[]}', b'{"choices":7}', b'{"choices":[7]}'])
def test_what_is_no_answer_cannot_be_told(document: bytes) -> None:
    with pytest.raises(UnfaithfulError):
        to_events(FAMILY, document, None, include_usage=False)
    with pytest.raises(UnfaithfulError):
        to_body(FAMILY, [b"data: " + document + b"\n\n", LAST_EVENT], None)


def test_a_usage_chunk_is_taken_out_and_nothing_else() -> None:
    events = [b": ping\n\n", chunk(choices=[CHOICE], usage=None), chunk(usage=COUNTS), LAST_EVENT]
    assert without_usage(events) == [events[0], events[1], events[3]]


def test_a_missing_usage_chunk_is_put_before_the_end() -> None:
    events = [chunk(choices=[CHOICE]), LAST_EVENT]
    first, added, last = with_usage(FAMILY, events, Usage(3, 2))
    assert [first, last] == events
    said = json.loads(added.removeprefix(b"data: "))
    assert (said["id"], said["object"], said["choices"]) == ("cmpl-1", "part", [])
    assert said["usage"]["total_tokens"] == 5


@pytest.mark.parametrize(
    "events", [[chunk(usage=COUNTS), LAST_EVENT], [chunk(choices=[CHOICE], usage=COUNTS), LAST_EVENT]]
)
def test_a_stream_that_states_its_usage_is_left_alone(events: list[bytes]) -> None:
    assert with_usage(FAMILY, events, Usage(9, 9)) == events


def test_an_estimate_is_no_usage_chunk() -> None:
    assert with_usage(FAMILY, [LAST_EVENT], Usage(9, 9, estimated=True)) == [LAST_EVENT]


def test_deltas_continue_strings_and_replace_scalars() -> None:
    whole: dict[str, Any] = {}
    for name, value in [("s", "a"), ("s", None), ("s", "b"), ("n", 1), ("n", 2), ("e", []), ("z", None)]:
        append(whole, name, value)
    assert whole == {"s": "ab", "n": 2, "e": [], "z": None}
    for value in ([1], {}):
        with pytest.raises(UnfaithfulError):
            append(whole, "s", value)


def test_of_a_choice_the_last_word_holds() -> None:
    whole: dict[str, Any] = {}
    for value in (None, "a", {"b": 1}, None):
        settle(whole, "x", value)
    assert whole == {"x": {"b": 1}}
    with pytest.raises(UnfaithfulError):
        settle(whole, "x", [1])


def test_logprobs_are_continued() -> None:
    whole: dict[str, Any] = {}
    said: list[Any] = [None, {"content": None}, {"content": [1], "refusal": None}, {"content": [2]}, None]
    for logprobs in said:
        extend_logprobs(whole, logprobs)
    assert whole == {"logprobs": {"content": [1, 2], "refusal": None}}
    for wrong in (7, {"content": 7}):
        with pytest.raises(UnfaithfulError):
            extend_logprobs(whole, wrong)


def test_shapes() -> None:
    assert decoded(b'{"a":1}') == {"a": 1}
    assert objects(None) == []
    assert objects([{}]) == [{}]
    assert integer(0) == 0
    for wrong in (True, "0", None, 0.0):
        with pytest.raises(UnfaithfulError):
            integer(wrong)
