"""What a frame says of an event is what reading it says: on streams of every kind, and on broken ones."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.frames import frame_of
from gateway.policy.usage import Meter

ENDPOINTS = ("chat.completions", "completions", "responses")
EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"}}],"obfuscation":"xy"}\n\n'


def exact(endpoint: str) -> Meter:
    """One that reads every event."""
    meter = Meter(endpoint, hide_usage=True)
    meter._tries = 10**9
    return meter


def all_said(meter: Meter) -> tuple[Any, ...]:
    return (
        *(meter.usage, meter.tier, meter.end, meter.reasons, meter.failed, meter.filtered, meter.unread),
        *(meter.text_bytes, meter.texts, meter.events, meter.ended, meter.finished, meter.estimate(1, 2)),
    )


def test_an_event_that_differs_in_its_text_and_padding_alone_is_of_the_frame() -> None:
    frame = frame_of(EVENT, b"content", "Hi")
    assert frame is not None
    for text in (b"Hi", b"", b"a longer text", "好🙂".encode()):
        assert frame.text_of(EVENT.replace(b"Hi", text).replace(b"xy", b"z" * len(text))) == text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hi", b'a"'),
        (b"Hi", b"a\\n"),
        (b"Hi", b"a\\u0041"),
        (b"Hi", b"a\n"),
        (b"Hi", b"a\x00"),
        (b"Hi", b"\xff"),
        (b"Hi", b"\xed\xa0\x80"),
        (b"xy", b"\xc3\xa4"),
        (b'"index":0', b'"index":1'),
        (b"}]", b',"finish_reason":"stop"}]'),
        (b"\n\n", b"\r\n\r\n"),
        (b"\n\n", b"\n\n\n"),
        (b'"Hi"', b"null"),
        (b'"Hi"', b'"Hi","content":"Ho"'),
        (b'"c"', b'"d"'),
    ],
)
def test_whatever_else_differs_is_another_event(old: bytes, new: bytes) -> None:
    frame = frame_of(EVENT, b"content", "Hi")
    assert frame is not None
    assert frame.text_of(EVENT.replace(old, new)) is None


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (EVENT, "Ho"),
        (EVENT.replace(b'"c"', b'"\\n"'), "Hi"),
        (EVENT.replace(b'"c"', b'"content"'), "Hi"),
        (EVENT.replace(b'"id"', b'"content"'), "Hi"),
        (EVENT.replace(b'"content"', b'"text"'), "Hi"),
        (EVENT.replace(b'"Hi"', b'["Hi"]'), "Hi"),
    ],
)
def test_where_the_text_is_not_certain_there_is_no_frame(event: bytes, text: str) -> None:
    assert frame_of(event, b"content", text) is None


def test_a_number_that_runs_is_no_difference() -> None:
    event = b'event: x.delta\ndata: {"type":"x.delta","sequence_number":7,"delta":"Hi"}\n\n'
    frame = frame_of(event, b"delta", "Hi")
    assert frame is not None
    assert frame.text_of(event.replace(b"7", b"123456")) == b"Hi"
    for number in (b"07", b"-7", b"7.5", b"7e3", b'"7"', b"1" * 16, b""):
        assert frame.text_of(event.replace(b"7", number)) is None


words = st.text(max_size=12) | st.sampled_from(
    ["", "\n", '"', "\\", "\x7f", "\ud800", "好", "error", "[DONE]"]
)
tiers = st.sampled_from([None, "default", "flex", 5])
counts = st.sampled_from(
    [None, {"prompt_tokens": 1, "completion_tokens": 2, "input_tokens": 1, "output_tokens": 2}]
)


@st.composite
def events(draw: st.DrawFn, endpoint: str) -> bytes:
    text = draw(words)
    ascii_only = draw(st.booleans())
    if endpoint == "responses":
        kind = draw(
            st.sampled_from(["response.output_text.delta"] * 5 + ["response.audio.delta", "x", "error"])
        )
        said = {"type": kind, "sequence_number": draw(st.integers(0, 99)), "delta": text}
        if draw(st.booleans()):
            said["obfuscation"] = draw(words)
        head = b"event: " + kind.encode() + b"\n" if draw(st.booleans()) else b""
        return head + b"data: " + dumped(said, ascii_only) + b"\n\n"
    member = draw(st.sampled_from(["content"] * 5 + ["refusal", "reasoning_content", "x"]))
    choice: dict[str, Any] = {"index": draw(st.integers(0, 1))}
    choice |= {"text": text} if endpoint == "completions" else {"delta": {member: text}}
    choice["finish_reason"] = draw(st.sampled_from([None] * 9 + ["stop", "content_filter"]))
    said = {"id": "c", "choices": [choice] * draw(st.sampled_from([1] * 9 + [0, 2]))}
    for name, values in (("service_tier", tiers), ("usage", counts), ("obfuscation", words)):
        if draw(st.booleans()):
            said[name] = draw(values)
    if draw(st.integers(0, 9)) == 0:
        said["error"] = draw(st.sampled_from([None, {"message": "no"}]))
    return b"data: " + dumped(said, ascii_only) + b"\n\n"


def dumped(said: Any, ascii_only: bool) -> bytes:
    text = json.dumps(said, ensure_ascii=ascii_only, separators=(",", ":") if ascii_only else None)
    return text.encode(errors="replace")


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """Many events that are alike, and some that are broken in one place."""
    endpoint = draw(st.sampled_from(ENDPOINTS))
    some = draw(st.lists(events(endpoint), min_size=1, max_size=6))
    stream = draw(st.lists(st.sampled_from(some), max_size=25))
    for at in draw(st.lists(st.integers(0, max(0, len(stream) - 1)), max_size=6)):
        if stream:
            event = bytearray(stream[at])
            event[draw(st.integers(0, len(event) - 1))] = draw(st.integers(0, 255))
            stream[at] = bytes(event)
    return endpoint, stream


@settings(max_examples=400)
@given(streams())
def test_a_meter_with_frames_says_what_one_without_says_at_every_moment(
    stream: tuple[str, list[bytes]],
) -> None:
    endpoint, raws = stream
    quick, slow = Meter(endpoint, hide_usage=True), exact(endpoint)
    for raw in raws:
        assert quick.event(raw) == slow.event(raw)
        assert all_said(quick) == all_said(slow)


@given(st.lists(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=20), max_size=40))
def test_a_stream_of_one_frame_has_all_its_text(texts: list[str]) -> None:
    quick, slow = Meter("chat.completions", hide_usage=True), exact("chat.completions")
    for text in texts:
        chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}], "usage": None}
        for meter in (quick, slow):
            meter.event(b"data: " + dumped(chunk, ascii_only=False) + b"\n\n")
    assert all_said(quick) == all_said(slow)
    assert "".join(quick.texts) == "".join(texts)


def test_a_tier_that_changes_is_set_back_by_an_event_that_says_so() -> None:
    quick, slow = Meter("chat.completions", hide_usage=True), exact("chat.completions")
    for tier in ("flex", "flex", "default", "flex"):
        chunk = {"service_tier": tier, "choices": [{"index": 0, "delta": {"content": "a"}}]}
        for meter in (quick, slow):
            meter.event(b"data: " + dumped(chunk, ascii_only=True) + b"\n\n")
    assert (quick.tier, all_said(quick)) == ("flex", all_said(slow))
