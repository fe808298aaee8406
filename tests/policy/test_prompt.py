import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.endpoints import TABLE
from gateway.policy.outputs import EDITED_IMAGE
from gateway.policy.prompt import (
    AUDIO_TOKENS,
    FILE_TOKENS,
    IMAGE_TOKENS,
    Prompt,
    most_tokens,
    read_prompt,
)

ENDPOINTS = {endpoint.name: endpoint for endpoint in TABLE}
MEDIA = base64.b64encode(bytes(3000)).decode()


def prompt(name: str, **fields: Any) -> Prompt:
    return read_prompt(ENDPOINTS[name], json.dumps({"model": "m", **fields}).encode())


def test_a_chat() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello", "name": "bob"},
    ]
    found = prompt("chat.completions", messages=messages)
    assert found == Prompt(("Be brief.", "Hello", "bob"), 3 + 4 + 4 + 1)


def test_what_a_message_says_is_not_in_its_repr() -> None:
    assert "Hello" not in repr(prompt("chat.completions", messages=[{"content": "Hello"}]))


@pytest.mark.parametrize("name", ["completions", "embeddings", "moderations"])
def test_plain_texts_have_no_overhead(name: str) -> None:
    field = "prompt" if name == "completions" else "input"
    assert prompt(name, **{field: "a b"}) == Prompt(("a b",), 0)
    assert prompt(name, **{field: ["a", "b"]}) == Prompt(("a", "b"), 0)


@pytest.mark.parametrize(("tokens", "count"), [([1, 2, 3], 3), ([[1, 2], [3]], 3), ([], 0)])
def test_token_arrays_are_counted_exactly(tokens: list[Any], count: int) -> None:
    assert prompt("completions", prompt=tokens) == Prompt((), count)
    assert prompt("embeddings", input=tokens) == Prompt((), count)


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{MEDIA}"}}, IMAGE_TOKENS),
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, IMAGE_TOKENS),
        ({"type": "input_image", "image_url": f"data:image/png;base64,{MEDIA}"}, IMAGE_TOKENS),
        ({"type": "input_audio", "input_audio": {"data": MEDIA, "format": "wav"}}, AUDIO_TOKENS),
        ({"type": "file", "file": {"file_data": MEDIA}}, FILE_TOKENS),
        ({"type": "input_file", "file_id": "file_1"}, FILE_TOKENS),
        ({"type": "hologram", "hologram": {"data": MEDIA}}, FILE_TOKENS),
        ({"type": "hologram", "url": f"data:audio/wav;base64,{MEDIA}"}, AUDIO_TOKENS),
    ],
)
def test_media_count_by_constants_and_never_become_text(part: dict[str, Any], tokens: int) -> None:
    content = [{"type": "text", "text": "Look"}, part]
    found = prompt("chat.completions", messages=[{"role": "user", "content": content}])
    assert found.tokens == 7 + tokens
    assert found.texts[0] == "Look"
    assert MEDIA not in "".join(found.texts)


def test_a_text_that_only_begins_like_a_url_is_a_text() -> None:
    assert prompt("completions", prompt="data: 1, 2, 3").texts == ("data: 1, 2, 3",)
    assert prompt("embeddings", input=f"data:image/png;base64,{MEDIA}") == Prompt((), IMAGE_TOKENS)


def test_tools_and_formats_count_as_their_json() -> None:
    tools = [{"type": "function", "function": {"name": "weather", "description": "Tells it"}}]
    schema = {"type": "json_schema", "json_schema": {"name": "answer"}}
    found = prompt("chat.completions", messages=[], tools=tools, functions=[], response_format=schema)
    assert json.loads(found.texts[0]) == tools
    assert json.loads(found.texts[2]) == schema
    assert found.tokens > 3


def test_a_tool_call_and_its_answer_count() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    text = "".join(prompt("chat.completions", messages=messages).texts)
    assert all(word in text for word in ("weather", "Ulm", "sunny"))


def test_a_response() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "sunny"},
        {"type": "reasoning", "summary": [], "encrypted_content": "x" * 500},
    ]
    found = prompt("responses", input=items, instructions="Be brief.")
    assert {"Hi", "weather", "sunny", "Be brief."} <= set(found.texts)
    assert found.tokens == 3 + 4 * 4 + 1 + 100
    assert "x" * 500 not in found.texts


def test_a_responses_plain_input_is_one_message() -> None:
    assert prompt("responses", input="Hi") == Prompt(("Hi",), 7)


@pytest.mark.parametrize(
    "messages",
    ["text", 5, True, {"role": "user", "content": "x"}, [None, 5, "x", ["y", [{}]]], [{"content": 5}]],
)
def test_odd_shapes_are_counted_somehow(messages: Any) -> None:
    found = prompt("chat.completions", messages=messages)
    assert found.tokens >= 3
    assert all(isinstance(text, str) for text in found.texts)


def test_what_is_not_known_counts_as_its_json() -> None:
    found = prompt("chat.completions", messages=[{"role": "user", "thoughts": {"deep": ["one", 2]}}])
    assert "".join(found.texts) == 'thoughts{"deep":["one",2]}'


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"input":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_a_body_that_cannot_be_read_counts_by_its_size(body: bytes) -> None:
    assert read_prompt(ENDPOINTS["responses"], body) == Prompt((), len(body) // 2)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["content", "text", "type", "name", "data", "tool_calls", "output", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(sorted(ENDPOINTS)),
    st.dictionaries(st.sampled_from(["messages", "input", "prompt", "instructions", "tools", "text"]), _JSON),
)
def test_nothing_makes_it_raise(name: str, fields: dict[str, Any]) -> None:
    found = prompt(name, **fields)
    assert found.tokens >= 0
    assert all(isinstance(text, str) for text in found.texts)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: "data:" not in text))
def test_no_said_text_is_lost(text: str) -> None:
    for name, fields in [
        ("chat.completions", {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}),
        ("responses", {"input": [{"role": "user", "content": text}]}),
        ("completions", {"prompt": ["x", text]}),
        ("completions", {"prompt": "x", "suffix": text}),
    ]:
        assert text in prompt(name, **fields).texts


def test_a_compaction_reads_a_conversation() -> None:
    items = [{"type": "message", "role": "user", "content": "hi"}]
    compact, response = (
        prompt(name, input=items, instructions="be short") for name in ("responses.compact", "responses")
    )
    assert compact == response


@pytest.mark.parametrize(
    ("fields", "pictures"),
    [
        ({"images": [{"image_url": "https://a.example/b.png"}, {"file_id": "file-1"}]}, 2),
        ({"images": [{"image_url": "data:image/png;base64,QUJD"}], "mask": {"file_id": "file-2"}}, 2),
        ({"images": {"file_id": "file-1"}}, 1),
        ({"images": None}, 0),
    ],
)
def test_pictures_that_are_to_be_edited_count_as_such(fields: dict[str, Any], pictures: int) -> None:
    found = prompt("images.edit", prompt="a hat", **fields)
    assert (found.texts, found.tokens) == (("a hat",), pictures * EDITED_IMAGE)


_WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_NUMBERS = st.integers(-9, 10**20) | st.sampled_from([1e22, 1.5e17, 1e16, 0.25])
_ANYTHING = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _WORDS,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(
            _WORDS | st.sampled_from(["content", "text", "name", "role", "type", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)
_READ = ("messages", "prompt", "input", "instructions", "suffix", "prediction", "tools", "functions", "text")


@given(
    st.sampled_from(["chat.completions", "completions", "responses", "embeddings"]),
    st.dictionaries(st.sampled_from(_READ), _ANYTHING, max_size=4),
)
def test_a_bound_is_never_below_the_tokens(name: str, fields: dict[str, Any]) -> None:
    """No text has more tokens than bytes."""
    body = msgspec.json.encode(fields)
    most = most_tokens(body)
    found = read_prompt(ENDPOINTS[name], body)
    assert most is None or most >= found.tokens + sum(len(text.encode()) for text in found.texts)


@pytest.mark.parametrize("kind", ["image_url", "input_file", "audio", "computer_screenshot", "image_file"])
def test_what_counts_by_constants_has_no_bound(kind: str) -> None:
    part = {"type": kind, kind: {}}
    assert most_tokens(json.dumps({"messages": [{"content": [part]}]}).encode()) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "data:image/png;base64,AAAA"},
        {"tools": [{"x": {"b64_json": "AAAA"}}]},
        {"images": ["u"]},
        {"mask": "u"},
        {"messages": "\u00e9"},
    ],
)
def test_nor_has_other_media_or_what_is_oddly_written(fields: dict[str, Any]) -> None:
    assert most_tokens(json.dumps(fields).encode()) is None


def test_a_text_has_a_bound() -> None:
    body = b'{"messages":[{"role":"user","content":"hi"}]}'
    assert most_tokens(body) == 2 * len(body) + 4 + 78
