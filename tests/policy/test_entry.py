import dataclasses
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.entry import Entry, seal, unseal, worth_keeping_plain, worth_keeping_stream
from gateway.policy.records import Usage
from gateway.policy.sse import Piece
from gateway.policy.usage import Meter

KEY, SECRET = b"k" * 32, b"s" * 32
JSON = "application/json"
DONE = b"data: [DONE]\n\n"
ENTRY = Entry(
    mode="stream",
    status=200,
    headers=[("content-type", "text/event-stream")],
    chunks=[b"data: {}\n\n", DONE],
    created=1_700_000_000_000,
    model="m",
    upstream="openai",
    usage=Usage(3, 2, 1, 0),
)
KINDS = {
    field.name: st.integers(0, 10**9)
    for field in dataclasses.fields(Usage)
    if field.name not in ("estimated", "tier")
}
entries = st.builds(
    Entry,
    mode=st.sampled_from(["plain", "stream"]),
    status=st.integers(100, 599),
    headers=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3),
    chunks=st.lists(st.binary(max_size=20), max_size=4),
    created=st.integers(0, 2**50),
    model=st.text(max_size=5),
    upstream=st.text(max_size=5),
    usage=st.none() | st.builds(Usage, estimated=st.booleans(), tier=st.text(max_size=3), **KINDS),
)


@given(entries, st.binary(max_size=40))
def test_what_was_sealed_is_unsealed(entry: Entry, key: bytes) -> None:
    assert unseal(seal(entry, key, SECRET), key, SECRET) == entry


def test_an_entry_of_a_gateway_that_knew_fewer_kinds_of_usage_is_read() -> None:
    old: Any = msgspec.structs.asdict(ENTRY) | {
        "usage": {"input": 3, "output": 2, "cached": 1, "reasoning": 0}
    }
    assert unseal(seal(list(old.values()), KEY, SECRET), KEY, SECRET) == ENTRY  # type: ignore[arg-type]


def test_any_flipped_byte_spoils_the_seal() -> None:
    blob = seal(ENTRY, KEY, SECRET)
    for at in range(len(blob)):
        assert unseal(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :], KEY, SECRET) is None
        assert unseal(blob[:at], KEY, SECRET) is None
    assert unseal(blob + b"\0", KEY, SECRET) is None


def test_a_seal_holds_for_one_key_and_one_secret() -> None:
    blob = seal(ENTRY, KEY, SECRET)
    assert unseal(blob, b"x" * 32, SECRET) is None
    assert unseal(blob, KEY, b"t" * 32) is None


@given(st.binary(max_size=80))
def test_noise_is_no_entry(noise: bytes) -> None:
    assert unseal(noise, KEY, SECRET) is None
    assert unseal(b"\x01" + noise, KEY, SECRET) is None


def test_a_sealed_shape_that_is_no_entry_is_none() -> None:
    strange: Any = ["plain", 200, [], "not a list of bytes", 0, "m", "u"]
    assert unseal(seal(strange, KEY, SECRET), KEY, SECRET) is None


def test_an_entry_does_not_show_its_content() -> None:
    assert "DONE" not in repr(ENTRY)


def chat(*reasons: Any, **members: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "x"}
    choices = [
        {"index": at, "message": message, "finish_reason": reason, **members}
        for at, reason in enumerate(reasons)
    ]
    return {"id": "x", "choices": choices}


@pytest.mark.parametrize(
    ("endpoint", "answer", "worth"),
    [
        ("chat.completions", chat("stop"), True),
        ("chat.completions", chat("length", "tool_calls", "function_call"), True),
        ("chat.completions", chat("stop") | {"error": None}, True),
        ("chat.completions", chat(), False),
        ("chat.completions", chat("stop", None), False),
        ("chat.completions", chat("stop", "content_filter"), False),
        ("chat.completions", chat("error"), False),
        ("chat.completions", chat("stop", message=None), False),
        ("chat.completions", chat("stop") | {"error": {"message": "no"}}, False),
        ("chat.completions", {"error": {"message": "no"}}, False),
        ("completions", {"choices": [{"text": "x", "index": 0, "finish_reason": "length"}]}, True),
        ("completions", chat("stop"), False),
        ("responses", {"id": "resp_1", "status": "completed", "error": None, "output": []}, True),
        ("responses", {"id": "resp_1", "status": "incomplete", "output": []}, False),
        ("responses", {"id": "resp_1", "status": "failed", "error": {"code": "x"}}, False),
        ("embeddings", {"data": [{"embedding": [0.1]}]}, True),
        ("embeddings", {"data": []}, False),
        ("moderations", {"results": [{"flagged": True}]}, True),
        ("moderations", {}, False),
        ("files.list", {"data": [{}]}, False),
    ],
)
def test_which_plain_answers_are_worth_keeping(endpoint: str, answer: Any, worth: bool) -> None:
    assert worth_keeping_plain(endpoint, 200, JSON, json.dumps(answer).encode()) is worth


@pytest.mark.parametrize(
    ("status", "content_type", "worth"),
    [
        (200, "application/json; charset=utf-8", True),
        (201, JSON, False),
        (500, JSON, False),
        (200, "text/html", False),
        (200, "", False),
    ],
)
def test_only_json_that_succeeded_is_worth_keeping(status: int, content_type: str, worth: bool) -> None:
    answer = json.dumps(chat("stop")).encode()
    assert worth_keeping_plain("chat.completions", status, content_type, answer) is worth
    assert not worth_keeping_plain("chat.completions", status, content_type, answer[:-1])


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chunk(reason: str | None, index: int = 0) -> bytes:
    return event({"choices": [{"index": index, "delta": {}, "finish_reason": reason}]})


@pytest.mark.parametrize(
    ("endpoint", "events", "worth"),
    [
        ("chat.completions", [chunk(None), chunk("stop"), DONE], True),
        ("completions", [chunk("length"), DONE], True),
        ("chat.completions", [chunk("stop")], False),
        ("chat.completions", [chunk(None), DONE], False),
        ("chat.completions", [chunk(None, 1), chunk("stop", 0), DONE], False),
        ("chat.completions", [DONE], False),
        ("chat.completions", [chunk("content_filter"), DONE], False),
        ("chat.completions", [chunk("stop"), event({"error": {"message": "no"}}), DONE], False),
        ("chat.completions", [chunk("stop"), b"data: {\n\n", DONE], False),
        ("chat.completions", [Piece(b"data: "), chunk("stop"), DONE], False),
        ("responses", [event({"type": "response.completed", "response": {}})], True),
        ("responses", [event({"type": "response.incomplete", "response": {}})], False),
        ("responses", [event({"type": "response.failed", "response": {}})], False),
        ("responses", [event({"type": "response.created", "response": {}}), DONE], False),
        (
            "responses",
            [event({"type": "error"}), event({"type": "response.completed", "response": {}})],
            False,
        ),
    ],
)
def test_which_streams_are_worth_keeping(endpoint: str, events: list[bytes], worth: bool) -> None:
    meter = Meter(endpoint, hide_usage=False)
    for raw in events:
        meter.event(raw)
    assert worth_keeping_stream(endpoint, meter) is worth
