"""Several prompts: a body for each, and their answers as one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.bridge_prompts import MOST, Chunks, apart, choices_each, together
from gateway.policy.endpoints import find
from gateway.policy.facts import read

COMPLETIONS, _ = find("POST", "/v1/completions")
DONE = b"data: [DONE]\n\n"


def bodies(body: bytes) -> list[bytes]:
    return apart(body, read(COMPLETIONS, body))


def test_each_body_is_the_whole_one_with_its_own_prompt() -> None:
    body = '{"model":"m", "prompt":["\\u0041", "ä" ],"n":2}'.encode()
    assert bodies(body) == [
        b'{"model":"m", "prompt":"\\u0041","n":2}',
        '{"model":"m", "prompt":"ä","n":2}'.encode(),
    ]
    assert choices_each(read(COMPLETIONS, body), 2) == 2


@pytest.mark.parametrize(
    "prompt", ['"a"', '["a"]', "[]", "null", "[1,2]", "[[1],[2]]", '["a",[1]]', '{"a":1}']
)
def test_nothing_else_is_taken_apart(prompt: str) -> None:
    assert bodies(b'{"model":"m","prompt":%b}' % prompt.encode()) == []
    assert bodies(b'{"model":"m"}') == []


def test_there_may_be_so_many_and_no_more() -> None:
    body = json.dumps({"model": "m", "prompt": ["secret"] * (MOST + 1)}).encode()
    with pytest.raises(InvalidRequest) as refused:
        bodies(body)
    assert (refused.value.code, refused.value.param) == ("cannot_bridge", "prompt")
    assert "secret" not in refused.value.message
    assert len(bodies(json.dumps({"model": "m", "prompt": ["a"] * MOST}).encode())) == MOST


def completion(number: int, texts: list[str], **more: Any) -> dict[str, Any]:
    choices = [{"text": text, "index": index, "finish_reason": "stop"} for index, text in enumerate(texts)]
    return {"id": f"c{number}", "object": "text_completion", "choices": choices, **more}


def usage(prompt: int, written: int) -> dict[str, Any]:
    details = {"completion_tokens_details": {"reasoning_tokens": 1}}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        **details,
    }


def test_choices_are_numbered_through_and_usage_is_added_up() -> None:
    answers = [
        completion(0, ["a", "b"], usage=usage(3, 4)),
        completion(1, ["c", "d"], usage=usage(5, 6)),
    ]
    whole = together([json.dumps(answer).encode() for answer in answers], 2)
    assert whole is not None
    joined = json.loads(whole)
    assert joined["id"] == "c0"
    assert [(choice["index"], choice["text"]) for choice in joined["choices"]] == [*enumerate("abcd")]
    assert joined["usage"] == {
        "prompt_tokens": 8,
        "completion_tokens": 10,
        "total_tokens": 18,
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


@pytest.mark.parametrize("bad", [b"<html>", b"[]", b'{"choices":null}', b'{"choices":[1]}'])
def test_what_is_no_completion_cannot_be_put_together(bad: bytes) -> None:
    assert together([json.dumps(completion(0, ["a"])).encode(), bad], 1) is None


def event(value: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(value, separators=(",", ":")).encode()


def chunk(text: str, index: int = 0) -> bytes:
    return event({"id": "c", "choices": [{"text": text, "index": index}], "usage": None})


def test_streams_follow_one_another() -> None:
    chunks = Chunks(prompts=2, each=2)
    first = [chunk("a"), chunk("b", 1), event({"id": "c", "choices": [], "usage": usage(3, 4)}), DONE]
    second = [chunk("c"), chunk("d", 1), event({"id": "c", "choices": [], "usage": usage(5, 6)}), DONE]
    said = [
        out for at, events in enumerate((first, second)) for raw in events for out in chunks.events(raw, at)
    ]
    assert said[:4] == [chunk("a"), chunk("b", 1), chunk("c", 2), chunk("d", 3)]
    assert json.loads(said[4].removeprefix(b"data: "))["usage"]["total_tokens"] == 18
    assert said[5:] == [DONE]


@pytest.mark.parametrize("raw", [b": ping\n\n", b'data: {"error":{"message":"cut"}}\n\n', b"data: half\n\n"])
def test_what_is_no_chunk_stays_as_it_is(raw: bytes) -> None:
    assert list(Chunks(2, 1).events(raw, 0)) == [raw]


@given(st.lists(st.lists(st.text(max_size=4), min_size=2, max_size=2), min_size=1, max_size=4))
def test_streamed_and_plain_answers_say_the_same(texts: list[list[str]]) -> None:
    plain = together([json.dumps(completion(at, two)).encode() for at, two in enumerate(texts)], 2)
    assert plain is not None
    chunks = Chunks(len(texts), 2)
    streamed = [
        json.loads(out.removeprefix(b"data: "))["choices"][0]
        for at, two in enumerate(texts)
        for index, text in enumerate(two)
        for out in chunks.events(chunk(text, index), at)
    ]
    told = [(choice["index"], choice["text"]) for choice in json.loads(plain)["choices"]]
    assert [(choice["index"], choice["text"]) for choice in streamed] == told
