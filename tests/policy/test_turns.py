"""Which turn an event belongs to."""

import json
from typing import Any

from gateway.policy.realtime import Event, event_of
from gateway.policy.turns import Turns


def event(kind: str, **members: Any) -> Event:
    read = event_of(json.dumps({"type": kind, **members}).encode())
    assert read is not None
    return read


def created(name: str, **members: Any) -> Event:
    return event("response.created", response={"id": name}, **members)


def test_a_realtime_response_is_known_by_its_id() -> None:
    turns: Turns[str] = Turns("realtime")
    turns.ask(event("response.create"), "first")
    turns.ask(event("response.create"), "second")
    assert turns.begin(created("r1")) == "first"
    assert turns.begin(created("r2")) == "second"
    assert turns.of(event("response.output_text.delta", response_id="r1")) == "first"
    assert turns.end(event("response.done", response={"id": "r2"})) == "second"
    assert list(turns.running()) == [("r1", "first")]
    assert turns.take() == ["first"]
    assert len(turns) == 0


def test_one_that_nobody_asked_for_is_told_so() -> None:
    turns: Turns[str] = Turns("realtime")
    assert turns.begin(created("r1")) is None
    turns.run(created("r1"), "by itself")
    assert turns.end(event("response.done", response={"id": "r1"})) == "by itself"
    assert turns.end(event("response.done", response={"id": "r1"})) is None


def test_an_error_ends_what_it_says_caused_it() -> None:
    turns: Turns[str] = Turns("realtime")
    turns.ask(event("response.create", event_id="a"), "named")
    turns.ask(event("response.create"), "nameless")
    assert turns.end(event("error", error={"event_id": "other"})) is None
    assert turns.end(event("error", error={"event_id": "a"})) == "named"
    assert turns.end(event("error", error={})) == "nameless"
    assert turns.end(event("error", error={})) is None


def test_a_running_realtime_response_is_not_ended_by_an_error() -> None:
    turns: Turns[str] = Turns("realtime")
    turns.run(created("r1"), "running")
    assert turns.end(event("error", error={})) is None
    assert len(turns) == 1


def test_lanes_are_first_in_first_out_and_apart() -> None:
    turns: Turns[str] = Turns("responses")
    for lane, turn in (("a", "a1"), ("b", "b1"), ("a", "a2")):
        turns.ask(event("response.create", stream_id=lane), turn)
    assert turns.begin(created("x", stream_id="b")) == "b1"
    assert turns.begin(created("y", stream_id="a")) == "a1"
    assert turns.of(event("response.output_text.delta", stream_id="a")) == "a1"
    assert turns.end(event("response.completed", stream_id="a", response={})) == "a1"
    assert turns.end(event("error", stream_id="b", error={})) == "b1"
    assert turns.end(event("error", stream_id="a", error={})) == "a2"
    assert turns.end(event("error", stream_id="a", error={})) is None


def test_all_that_are_left_are_those_that_run_and_those_that_wait() -> None:
    turns: Turns[str] = Turns("realtime")
    for turn in ("first", "second"):
        turns.ask(event("response.create"), turn)
    turns.begin(created("x"))
    assert list(turns) == ["first", "second"]
    assert turns.take() == ["first", "second"]
    assert list(turns) == []
