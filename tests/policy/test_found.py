"""What answers bring into being: told once, and never what a client has put there itself."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.policy.endpoints import Endpoint
from gateway.policy.facts import Facts
from gateway.policy.found import Finder, found
from gateway.policy.ownership import Named

FACTS = Facts("m", True, None, 1, 0, None, False, {})
RESPONSES = Endpoint("responses", "POST", "/responses", "inference", creates="response")
CHAT = Endpoint("chat.completions", "POST", "/chat/completions", "inference", creates="completion")


def made(path: str, creates: str, body: Any, headers: dict[str, str] | None = None) -> list[tuple[str, str]]:
    endpoint = Endpoint("x", "POST", path, "files", creates=creates)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [(each.kind, each.id) for each in found(endpoint, FACTS, data, headers or {})]


@pytest.mark.parametrize(
    ("path", "creates", "body", "ids"),
    [
        ("/files", "file", {"id": "file-1", "object": "file"}, [("file", "file-1")]),
        (
            *("/responses", "response", {"id": "resp_1", "output": [{"id": "ci", "container_id": "cntr_1"}]}),
            [("container", "cntr_1"), ("response", "resp_1")],
        ),
        (
            *("/batches/{batch_id}", "", {"id": "batch_1", "output_file_id": "f1", "error_file_id": None}),
            [("file", "f1")],
        ),
        ("/batches", "", {"data": [{"id": "b", "output_file_id": "f1"}]}, [("file", "f1")]),
        (
            *("/fine_tuning/jobs/{fine_tuning_job_id}", "", {"result_files": ["f1", "f2"]}),
            [("file", "f1"), ("file", "f2")],
        ),
        (
            *("/uploads/{upload_id}/complete", "file", {"id": "upload_1", "file": {"id": "file-1"}}),
            [("file", "file-1")],
        ),
        ("/uploads", "upload", {"id": "upload_1", "file": None}, [("upload", "upload_1")]),
        ("/threads/runs", "thread", {"id": "run_1", "thread_id": "thread_1"}, [("thread", "thread_1")]),
        (
            "/assistants",
            "assistant",
            {"id": "asst_1", "tool_resources": {"file_search": {"vector_store_ids": ["vs_1"]}}},
            [("vector_store", "vs_1"), ("assistant", "asst_1")],
        ),
        (
            "/threads/{thread_id}/messages",
            "",
            {"data": [{"content": [{"type": "image_file", "image_file": {"file_id": "f1"}}]}]},
            [("file", "f1")],
        ),
        ("/files", "file", {"id": 7}, []),
        ("/files", "file", b"<html>", []),
        ("/files", "file", b"", []),
        ("/images/generations", "", {"id": "x"}, []),
        ("/elsewhere", "nothing known", {"id": "x"}, []),
    ],
)
def test_what_a_plain_answer_tells(path: str, creates: str, body: Any, ids: list[tuple[str, str]]) -> None:
    assert made(path, creates, body) == ids


@pytest.mark.parametrize("location", ["/v1/realtime/calls/rtc_1", "https://x.test/v1/realtime/calls/rtc_1"])
def test_a_call_is_named_by_its_location(location: str) -> None:
    assert made("/realtime/calls", "call", b"v=0\r\n", {"location": location}) == [("call", "rtc_1")]


def test_nobody_gets_what_is_written_into_metadata_or_said_by_a_model() -> None:
    body = {
        "id": "resp_1",
        "metadata": {"container_id": "theirs"},
        "tools": [{"parameters": {"container_id": "theirs"}}],
        "output": [{"type": "function_call", "arguments": '{"container_id": "theirs"}'}],
    }
    assert made("/responses", "response", body) == [("response", "resp_1")]


@pytest.mark.parametrize(
    ("endpoint", "store", "told"),
    [(RESPONSES, None, True), (RESPONSES, False, False), (CHAT, None, False), (CHAT, True, True)],
)
def test_what_is_not_stored_needs_no_owner(endpoint: Endpoint, store: bool | None, told: bool) -> None:
    assert bool(found(endpoint, replace(FACTS, store=store), b'{"id": "x"}', {})) is told


def event(**data: Any) -> bytes:
    return b"event: x\r\ndata: " + json.dumps(data).encode() + b"\r\n\r\n"


def test_a_stream_tells_its_id_at_once_and_only_once() -> None:
    finder = Finder(RESPONSES, FACTS)
    assert finder.event(b": hello\n\n") == ()
    created = event(type="response.created", response={"id": "resp_1"})
    assert finder.event(created) == (Named("response", "resp_1"),)
    assert finder.event(created) == ()
    assert finder.event(event(type="response.output_text.delta", delta="container_id")) == ()
    item = {"type": "code_interpreter_call", "container_id": "cntr_1"}
    assert finder.event(event(type="response.output_item.added", item=item)) == (
        Named("container", "cntr_1"),
    )
    assert finder.event(event(type="response.output_item.done", item=item)) == ()


def test_a_stored_chat_and_what_it_spoke_are_told() -> None:
    finder = Finder(CHAT, replace(FACTS, store=True, audio=True))
    assert finder.event(event(id="", choices=[])) == ()
    assert finder.event(event(id="chatcmpl-1", choices=[])) == (Named("completion", "chatcmpl-1"),)
    spoken = event(id="chatcmpl-1", choices=[{"delta": {"audio": {"id": "audio_1"}}}])
    assert finder.event(spoken) == (Named("audio", "audio_1"),)
    assert finder.event(b"data: [DONE]\n\n") == ()


def test_a_chat_that_asks_for_no_speech_and_is_not_stored_is_not_looked_into() -> None:
    assert Finder(CHAT, FACTS).idle
    assert not Finder(CHAT, replace(FACTS, audio=True)).idle
    assert not Finder(replace(CHAT, path="/chat/completions/{completion_id}"), FACTS).idle


def test_a_run_that_is_streamed_tells_its_thread() -> None:
    endpoint = Endpoint("x", "POST", "/threads/runs", "assistants", creates="thread")
    finder = Finder(endpoint, FACTS)
    assert finder.event(event(id="run_1", thread_id="thread_1")) == (Named("thread", "thread_1"),)


def test_it_does_not_matter_how_a_stream_is_cut() -> None:
    stream = event(type="response.created", response={"id": "resp_1"}) + event(item={"container_id": "c"})
    for size in (1, 7, len(stream)):
        finder = Finder(RESPONSES, FACTS)
        told = [
            each
            for start in range(0, len(stream), size)
            for each in finder.feed(stream[start : start + size])
        ]
        assert told == [Named("response", "resp_1"), Named("container", "c")]


def test_where_there_is_nothing_to_find_it_says_so() -> None:
    assert Finder(Endpoint("x", "POST", "/embeddings", "inference"), FACTS).idle
    assert not Finder(RESPONSES, FACTS).idle
