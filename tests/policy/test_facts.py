import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.endpoints import TABLE
from gateway.policy.facts import Facts, form_facts, read, sent_as
from gateway.policy.outputs import IMAGE_INPUT

ENDPOINTS = {endpoint.name: endpoint for endpoint in TABLE}


def facts(_name: str = "chat.completions", /, **fields: Any) -> Facts:
    return read(ENDPOINTS[_name], json.dumps({"model": "gpt-4o", **fields}).encode())


def refusal(_name: str, body: bytes, engine: str | None = None) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as caught:
        read(ENDPOINTS[_name], body, engine)
    return caught.value.code, caught.value.param


def test_a_plain_chat() -> None:
    body = b'{"model":"gpt-4o","messages":[]}'
    assert read(ENDPOINTS["chat.completions"], body) == Facts(
        model="gpt-4o",
        stream=False,
        include_usage=None,
        n=1,
        max_output=None,
        store=None,
        stateful=False,
        spans={"model": (9, 17), "messages": (29, 31)},
        size=len(body),
        named="gpt-4o",
    )


def test_an_escaped_name_is_the_same_name() -> None:
    assert read(ENDPOINTS["chat.completions"], b' { "mod\\u0065l" : "\\u0067pt" } ').model == "gpt"


@pytest.mark.parametrize(
    ("fields", "stream", "include_usage"),
    [
        ({"stream": True}, True, None),
        ({"stream": None}, False, None),
        ({"stream": False, "stream_options": {"include_usage": True}}, False, None),
        ({"stream": True, "stream_options": None}, True, None),
        ({"stream": True, "stream_options": {}}, True, None),
        ({"stream": True, "stream_options": {"include_usage": None}}, True, None),
        ({"stream": True, "stream_options": {"include_usage": False}}, True, False),
        ({"stream": True, "stream_options": {"x": 1, "include_usage": True}}, True, True),
    ],
)
def test_streams(fields: dict[str, Any], stream: bool, include_usage: bool | None) -> None:
    found = facts(**fields)
    assert (found.stream, found.include_usage) == (stream, include_usage)


def test_an_operation_that_does_not_stream_leaves_the_word_alone() -> None:
    assert facts("embeddings", stream="yes").stream is False


@pytest.mark.parametrize("model", [None, "", 5, ["m"], "a\nb", "a\x00", "a\u202eb", "m" * 257])
def test_a_bad_model(model: Any) -> None:
    body = json.dumps({"model": model}).encode()
    assert refusal("chat.completions", body) == ("invalid_model", "model")


def test_the_engine_in_the_path_is_the_model() -> None:
    endpoint = ENDPOINTS["completions"]
    assert read(endpoint, b'{"prompt":"x"}', "ada").model == "ada"
    assert read(endpoint, b'{"model":"ada"}', "ada").model == "ada"
    assert refusal("completions", b'{"model":"gpt-4o"}', "ada") == ("invalid_model", "model")
    assert refusal("completions", b"{}", "a\nb") == ("invalid_model", "model")


def test_a_missing_model() -> None:
    assert refusal("chat.completions", b"{}") == ("missing_model", "model")
    assert read(ENDPOINTS["moderations"], b'{"input":"x"}').model is None


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"", ("invalid_json", None)),
        (b"{", ("invalid_json", None)),
        (b'{"model":"a","model":"b"}', ("duplicate_key", "model")),
        (b'{"model":"a","x":1,"x":1}', ("duplicate_key", "x")),
        (b'{"model":"a","stream":1}', ("invalid_stream", "stream")),
        (b'{"model":"a","store":"no"}', ("invalid_store", "store")),
        (b'{"model":"a","stream":true,"stream_options":[]}', ("invalid_stream_options", "stream_options")),
        (
            b'{"model":"a","stream":true,"stream_options":{"include_usage":1}}',
            ("invalid_stream_options", "stream_options"),
        ),
        (
            b'{"model":"a","stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
            ("duplicate_key", "stream_options.include_usage"),
        ),
    ],
)
def test_refusals(body: bytes, refused: tuple[str, str | None]) -> None:
    assert refusal("chat.completions", body) == refused


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": {"id": "conv_1"}},
        {"conversation": "conv_1"},
        {"background": True},
        {"prompt": {"id": "pmpt_1"}},
    ],
)
def test_a_response_that_builds_on_more_than_its_body(fields: dict[str, Any]) -> None:
    assert facts("responses", **fields).stateful
    assert not facts("responses", **dict.fromkeys(fields)).stateful


def test_a_completions_prompt_is_no_state() -> None:
    assert not facts("completions", prompt="x").stateful
    assert not facts("responses", background=False, input="x").stateful


@pytest.mark.parametrize(("said", "goes_on"), [(True, True), ("?", True), (False, False), (None, False)])
def test_what_goes_on_in_the_background(said: Any, goes_on: bool) -> None:
    assert facts("responses", background=said).background is goes_on
    assert not facts("chat.completions", background=said).background


@pytest.mark.parametrize("name", ["chat.completions", "responses", "completions", "embeddings"])
def test_the_tier_that_is_asked_for(name: str) -> None:
    assert facts(name).tier is None
    assert facts(name, service_tier=None).tier is None
    assert facts(name, service_tier="flex").tier == "flex"
    for wrong in (5, ["flex"], True, "x" * 65, "a\nb"):
        body = json.dumps({"model": "m", "service_tier": wrong}).encode()
        assert refusal(name, body) == ("invalid_service_tier", "service_tier")


@pytest.mark.parametrize(
    ("name", "fields", "tools", "calls"),
    [
        ("responses", {}, set(), None),
        ("responses", {"tools": None, "max_tool_calls": None}, set(), None),
        ("responses", {"tools": [{"type": "web_search_preview"}], "max_tool_calls": 3}, {"web_search"}, 3),
        ("responses", {"tools": [{"type": "function", "name": "f"}]}, set(), None),
        ("responses", {"tools": [{"type": "telepathy"}]}, {"telepathy"}, None),
        ("responses", {"input": [{"tools": [{"type": "file_search"}]}]}, {"file_search"}, None),
        ("responses", {"input": "tools"}, set(), None),
        ("responses", {"web_search_options": {}}, set(), None),
        ("chat.completions", {"tools": [{"type": "function", "function": {"name": "f"}}]}, set(), None),
        ("chat.completions", {"web_search_options": {}}, {"web_search"}, 1),
        ("chat.completions", {"web_search_options": None, "max_tool_calls": 9}, set(), None),
        ("chat.completions", {"model": "gpt-4o-search-preview-2025-03-11"}, {"web_search"}, 1),
        ("chat.completions", {"web_search_options": {}, "tools": [{"type": "t"}]}, {"web_search", "t"}, None),
        ("completions", {"tools": [{"type": "web_search"}]}, set(), None),
    ],
)
def test_tools_that_the_upstream_bills(
    name: str, fields: dict[str, Any], tools: set[str], calls: int | None
) -> None:
    found = facts(name, **fields)
    assert (found.tools, found.max_tool_calls) == (tools, calls)


def test_an_alias_of_a_model_that_searches_is_searched_for() -> None:
    asked, chat = facts(model="news"), ENDPOINTS["chat.completions"]
    sent = sent_as(asked, chat, "gpt-5-search-api")
    assert (sent.tools, sent.max_tool_calls, asked.tools) == ({"web_search"}, 1, frozenset())
    assert sent_as(asked, chat, "gpt-5") == asked
    assert sent_as(asked, chat, None) == asked


@pytest.mark.parametrize("tools", ["web_search", {"type": "web_search"}, [5], [{"type": 5}], True])
@pytest.mark.parametrize("name", ["chat.completions", "responses"])
def test_malformed_tools(name: str, tools: Any) -> None:
    body = json.dumps({"model": "m", "tools": tools}).encode()
    assert refusal(name, body) == ("invalid_tools", "tools")


@pytest.mark.parametrize("calls", [-1, 1.5, "3", True, [], 10**10])
def test_a_bad_bound_on_tool_calls(calls: Any) -> None:
    body = json.dumps({"model": "m", "max_tool_calls": calls}).encode()
    assert refusal("responses", body) == ("invalid_max_tool_calls", "max_tool_calls")


def test_a_spoken_answer() -> None:
    assert facts(modalities=["text", "audio"]).audio
    assert not facts(modalities=["text"]).audio
    assert not facts(modalities=None).audio
    assert not facts("responses", modalities="audio").audio
    for wrong in ("audio", ["audio", 5], {}):
        body = json.dumps({"model": "m", "modalities": wrong}).encode()
        assert refusal("chat.completions", body) == ("invalid_modalities", "modalities")


def test_a_request_without_a_body() -> None:
    assert read(ENDPOINTS["models.list"], b"").model is None


def _facts_or_refusal(name: str, body: bytes) -> Facts | InvalidRequest:
    try:
        return read(ENDPOINTS[name], body, "m")
    except InvalidRequest as refused:
        return refused


@given(st.sampled_from(sorted(ENDPOINTS)), st.binary() | st.text().map(str.encode))
def test_any_bytes_are_facts_or_a_refusal(name: str, body: bytes) -> None:
    assert _facts_or_refusal(name, body)


_FIELDS = st.sampled_from(["n", "best_of", "max_tokens", "stream", "prompt", "store"])
_VALUES = st.integers() | st.booleans() | st.none() | st.lists(st.text(max_size=3))


@given(st.dictionaries(_FIELDS, _VALUES))
def test_numbers_are_in_their_range_or_refused(fields: dict[str, Any]) -> None:
    found = _facts_or_refusal("completions", json.dumps(fields).encode())
    if isinstance(found, InvalidRequest):
        assert found.param in fields
        assert found.code == f"invalid_{found.param}"
    else:
        prompt = fields.get("prompt")
        assert 1 <= found.n <= 128 * (len(prompt) if isinstance(prompt, list) and prompt else 1)
        assert found.max_output is None or 0 <= found.max_output <= 10**9


def bare(_name: str, body: bytes, **named: str) -> Facts:
    return read(ENDPOINTS[_name], body, **named)


@pytest.mark.parametrize("name", ["threads.create", "conversations.create", "batches.create", "files.create"])
@pytest.mark.parametrize("body", [b"", b"[1, 2]", b'"text"', b"12", b"null", b" {}"])
def test_what_is_neither_judged_nor_metered_passes_in_any_shape(name: str, body: bytes) -> None:
    known = bare(name, body)
    assert (known.model, known.stream, known.n, known.max_output, known.size) == (
        None,
        False,
        1,
        0,
        len(body),
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"[1,", "invalid_json"),
        (b'"\xff"', "invalid_json"),
        (b'{"a": "\xff"}', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b" ", "invalid_json"),
        (b'{"metadata": {}, "metadata": {}}', "duplicate_key"),
    ],
)
def test_what_is_no_json_is_refused_everywhere(body: bytes, code: str) -> None:
    assert refusal("threads.create", body)[0] == code


@pytest.mark.parametrize(
    ("fields", "model", "stream"),
    [
        ({"model": "gpt-4o", "stream": True}, "gpt-4o", True),
        ({"model": {"id": "x"}, "stream": "yes"}, None, False),
        ({"model": None, "stream": None}, None, False),
        ({"n": "many", "tools": 1, "service_tier": 5, "store": "x"}, None, False),
    ],
)
def test_unknown_shapes_are_as_if_they_were_absent(
    fields: dict[str, Any], model: str | None, stream: bool
) -> None:
    known = bare("threads.runs.create", json.dumps(fields).encode())
    assert (known.model, known.stream) == (model, stream)


def test_a_name_that_is_none_is_refused_even_there() -> None:
    assert refusal("assistants.create", b'{"model": "a\\u0000"}') == ("invalid_model", "model")
    assert refusal("assistants.create", json.dumps({"model": "x" * 257}).encode())[0] == "invalid_model"


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("images.generate", {"n": 11}, "invalid_n"),
        ("images.generate", {"n": 0}, "invalid_n"),
        ("images.generate", {"n": "2"}, "invalid_n"),
        ("images.generate", {"size": 1024}, "invalid_size"),
        ("images.generate", {"stream": "true"}, "invalid_stream"),
        ("edits", {"n": 21}, "invalid_n"),
        ("audio.speech.create", {"input": ["a"]}, "invalid_input"),
        ("decisions.create", {"model": 5}, "invalid_model"),
    ],
)
def test_what_is_metered_is_read_strictly(name: str, fields: dict[str, Any], code: str) -> None:
    assert refusal(name, json.dumps(fields).encode())[0] == code


def test_speech_streams_by_a_name_of_its_own() -> None:
    assert facts("audio.speech.create", stream_format="sse").stream
    assert not facts("audio.speech.create", stream_format="audio").stream
    assert not facts("audio.speech.create", stream=True).stream


def test_a_deployment_counts_whatever_the_body_says() -> None:
    known = bare("chat.completions", b'{"model": "<ignored>"}', deployment="gpt-4o")
    assert (known.model, known.named) == ("gpt-4o", "<ignored>")
    known = bare("chat.completions", b"{}", deployment="gpt-4o")
    assert (known.model, known.named) == ("gpt-4o", None)
    with pytest.raises(InvalidRequest):
        bare("chat.completions", b"{}", deployment="x" * 257)


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("images.edit", {"model": "gpt-image-1", "n": "3"}, ("gpt-image-1", False, 3, 8_192, IMAGE_INPUT)),
        ("images.edit", {"prompt": "é", "stream": "true"}, (None, True, 1, 8_192, IMAGE_INPUT + 2)),
        ("images.edit", {"size": "2048x2048"}, (None, False, 1, 3 * 8_192, IMAGE_INPUT)),
        ("audio.transcriptions.create", {"model": "whisper-1"}, ("whisper-1", False, 1, 7_500, 16_000)),
        ("audio.transcriptions.create", {"stream": "True"}, (None, True, 1, 7_500, 16_000)),
        ("audio.translations.create", {"stream": "true"}, (None, False, 1, 7_500, 16_000)),
        ("files.create", {"purpose": "batch", "model": "", "n": ""}, (None, False, 1, 0, 0)),
        ("videos.create", {"model": "sora-2", "n": "x"}, ("sora-2", False, 1, 0, 0)),
    ],
)
def test_a_form(name: str, fields: dict[str, str], expected: tuple[Any, ...]) -> None:
    known = form_facts(ENDPOINTS[name], fields, 99)
    assert (known.model, known.stream, known.n, known.max_output, known.input_bound) == expected
    assert (known.size, known.spans) == (99, {})


@pytest.mark.parametrize("n", ["0", "11", "two", "1.0", "-1", " 2", "٣", "\udcff"])
def test_a_form_that_wants_no_number_of_images(n: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        form_facts(ENDPOINTS["images.edit"], {"n": n}, 0)
    assert (caught.value.code, caught.value.param) == ("invalid_n", "n")


def test_a_forms_model_may_stand_in_its_path() -> None:
    speech = ENDPOINTS["audio.transcriptions.create"]
    known = form_facts(speech, {"model": "x"}, 0, deployment="whisper")
    assert (known.model, known.named) == ("whisper", "x")
    assert form_facts(speech, {}, 0, engine="whisper").model == "whisper"
    with pytest.raises(InvalidRequest):
        form_facts(speech, {"model": "x"}, 0, engine="whisper")


@given(
    st.sampled_from(sorted(ENDPOINTS)),
    st.binary(max_size=64) | st.from_regex(rb'\{"model": .*\}', fullmatch=True),
)
def test_any_body_is_read_or_refused(name: str, body: bytes) -> None:
    try:
        known = read(ENDPOINTS[name], body)
    except InvalidRequest:
        return
    assert known.size == len(body)
    assert known.n >= 1


_SAID = (
    st.none()
    | st.booleans()
    | st.integers(-1, 200)
    | st.sampled_from([0.5, 64.0, "gpt-4o", "flex", "x" * 300])
)
_TOOL = st.fixed_dictionaries({"type": st.sampled_from(["function", "custom", "web_search", "new", 1, None])})
_MEMBERS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            *("stream", "n", "best_of", "max_tokens", "max_completion_tokens", "max_output_tokens", "store"),
            *("service_tier", "max_tool_calls", "background", "previous_response_id", "prompt", "size"),
        ),
        _SAID,
    )
    | {
        "model": st.just("gpt-4o") | _SAID,
        "stream_options": _SAID | st.fixed_dictionaries({}, optional={"include_usage": _SAID, "x": _SAID}),
        "tools": _SAID | st.lists(_TOOL | _SAID, max_size=3),
        "web_search_options": st.none() | st.just({}),
        "modalities": _SAID | st.lists(st.sampled_from(["text", "audio", 1]), max_size=2),
        "input": st.lists(st.fixed_dictionaries({"tools": st.lists(_TOOL, max_size=2)}), max_size=2),
    },
)


@given(st.sampled_from(sorted(ENDPOINTS)), _MEMBERS, st.sampled_from(["gpt-4o", None]))
def test_how_a_body_is_written_changes_no_fact(
    name: str, fields: dict[str, Any], deployment: str | None
) -> None:
    """One that is plain is decoded, one with an escape is read from its bytes."""

    def outcome(body: bytes) -> Facts | tuple[str, str | None, str]:
        try:
            found = read(ENDPOINTS[name], body, None, deployment)
        except InvalidRequest as error:
            return error.code, error.param, str(error)
        assert {name: json.loads(body[start:end]) for name, (start, end) in found.spans.items()} in ({}, said)
        return replace(found, spans={}, size=0)

    said = fields | {"e": "e"}
    plain = json.dumps(said).encode()
    assert outcome(plain) == outcome(plain[:-4] + b'"\\u0065"}')
