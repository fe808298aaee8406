"""Every split of a stream reads the same, and reads as the specification says."""

import codecs
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.policy.sse import Piece, Splitter, data, kind

CHUNK = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'

line_ends = st.sampled_from(["\n", "\r", "\r\n"])
lines = st.one_of(
    st.sampled_from(["", ":", ": ping", "data", "data:", "data: ", "data:x", "data: x", "data:  x", "id: 1"]),
    st.sampled_from(["event: error", "event:", "retry: 10", "unknown: y", "data : no", " data: no"]),
    st.text("a:好🙂 \t\x0b\x0c\x85", max_size=6).map(lambda text: "data: " + text),
)
streams = st.lists(st.tuples(lines, line_ends), max_size=12).map(
    lambda pairs: "".join(line + end for line, end in pairs).encode()
)


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in itertools.pairwise(at)]


def split(pieces: Iterable[bytes], limit: int = 2**20) -> tuple[list[bytes], bytes]:
    splitter = Splitter(limit)
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events, splitter.rest()


def reference(stream: bytes) -> list[tuple[str, str]]:
    """Types and data of the dispatched events: WHATWG HTML 9.2.6, step by step, on characters."""
    text = stream.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    events, buffer, type_ = [], "", ""
    for line in text.split("\n")[:-1]:  # what follows the last line end is incomplete
        if line == "":
            if buffer != "":
                events.append((type_, buffer.removesuffix("\n")))
            buffer, type_ = "", ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                type_ = value
            elif field == "data":
                buffer += value + "\n"
    return events


@given(streams, st.lists(st.integers(0, 400), max_size=20))
@example(b"data: x\r\n\r\n", [8, 9, 10])
@example(b"data: x\r\r\ndata: y\n\n", [9])
@example(b"\n\n\ndata: x\n\n\n", [1, 2])
@example(b"data: x\n\n\ndata: y\n\n", [])
def test_every_split_reads_the_same(stream: bytes, places: list[int]) -> None:
    whole = split([stream])
    assert split(cut(stream, places)) == whole
    assert split([stream[i : i + 1] for i in range(len(stream))]) == whole
    assert b"".join(whole[0]) + whole[1] == stream


@given(st.binary(max_size=60).map(lambda raw: raw.translate(bytes(b"\r\ndx: "[i % 6] for i in range(256)))))
def test_an_event_ends_with_its_first_blank_line(stream: bytes) -> None:
    events, rest = split([stream])
    for event in events:
        *body, last = event.splitlines()
        assert last == b""
        assert b"" not in body
    assert b"" not in rest.splitlines()[:-1]


@given(streams)
@example(codecs.BOM_UTF8 + b"data: x\n\n")
def test_events_say_what_the_specification_says(stream: bytes) -> None:
    events, rest = split([stream])
    complete = [*events, rest] if rest.endswith((b"\r\r", b"\n\r")) or rest == b"\r" else events
    read = [(kind(event).decode(), data(event).decode()) for event in complete if data(event)]
    assert read == [event for event in reference(stream) if event[1]]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data:  x\r\n\r\n", b" x"),
        (b"data: a\ndata: b\r\ndata\n\n", b"a\nb\n"),
        (b"data: a\rdata: b\n\n", b"a\nb"),
        (b": ping\n\n", b""),
        (b"\xef\xbb\xbfdata: x\n\n", b"x"),
        (b"id: 7\nevent: e\ndata: x\nretry: 5\n\n", b"x"),
        (b"data: a\x85\x0b\x0c\n\n", b"a\x85\x0b\x0c"),
    ],
)
def test_data(event: bytes, said: bytes) -> None:
    assert data(event) == said


def test_kind_is_the_last_event_field() -> None:
    assert kind(b"event: a\nevent:b\ndata: x\n\n") == b"b"
    assert kind(CHUNK) == b""


def test_a_lone_cr_waits_for_its_lf() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: x\r\n\r") == []
    assert splitter.feed(b"\n") == [b"data: x\r\n\r\n"]
    assert splitter.feed(b"data: x\r\r") == []
    assert splitter.rest() == b"data: x\r\r"
    assert splitter.feed(b"d") == [b"data: x\r\r"]


@given(st.lists(st.integers(0, 400), max_size=20), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_an_event_over_the_limit_is_handed_on_in_pieces(places: list[int], end: bytes) -> None:
    small, big = b"data: s" + end * 2, (b"data: " + b"x" * 50 + end) * 2 + (b"data:" + end) * 9 + end
    stream = small + big + small + b": "
    splitter = Splitter(limit=40)
    handed = [event for piece in cut(stream, places) for event in splitter.feed(piece)]
    assert splitter.overflowed
    assert b"".join(handed) + splitter.rest() == stream
    assert [event for event in handed if not isinstance(event, Piece)] == [small, small]
    assert b"".join(event for event in handed if isinstance(event, Piece)) == big


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=30))
def test_no_more_than_the_limit_is_held(pieces: list[bytes]) -> None:
    splitter = Splitter(limit=16)
    for piece in pieces:
        splitter.feed(piece)
        assert len(splitter.rest()) <= 16


def test_the_limit_is_of_the_event_and_not_of_what_arrives_at_once() -> None:
    splitter = Splitter(limit=len(CHUNK))
    assert splitter.feed(CHUNK * 50) == [CHUNK] * 50
    assert not splitter.overflowed
