import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.policy import sse
from gateway.policy.replay_chunks import UnfaithfulError
from gateway.policy.replay_responses import to_body, to_events

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
NOTE = {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "t", "url": "https://example.com"}
LOGPROB = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}
TEXT = {"type": "output_text", "text": "Hi\n好", "annotations": [NOTE], "logprobs": [LOGPROB]}
OUTPUT: list[dict[str, Any]] = [
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "first"}, {"type": "summary_text", "text": "then"}],
        "content": [{"type": "reasoning_text", "text": "thought"}],
        "encrypted_content": "gAAA",
    },
    {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [TEXT, {"type": "refusal", "refusal": "No."}],
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "status": "completed",
        "name": "f",
        "arguments": '{"a":1}',
    },
    {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "c", "input": "x y"},
]
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_741_476_542,
    "completed_at": 1_741_476_543,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "model": "gpt-4.1-2025-04-14",
    "output": OUTPUT,
    "parallel_tool_calls": True,
    "store": False,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 36,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 87,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 123,
    },
    "something_new": {"kept": [1, 1.0]},
}


def body(output: Any = OUTPUT, **members: Any) -> bytes:
    return json.dumps(RESPONSE | {"output": output} | members, indent=2, ensure_ascii=False).encode()


def told(events: list[bytes]) -> list[Any]:
    said = [json.loads(sse.data(raw)) for raw in events]
    assert [sse.kind(raw).decode() for raw in events] == [one["type"] for one in said]
    return said


def test_the_official_library_reads_every_event() -> None:
    Response.model_validate(RESPONSE)
    for said in told(to_events(body())):
        event = EVENT.validate_python(said)
        assert event.type == said["type"]


def test_events_come_in_order_and_numbered() -> None:
    said = told(to_events(body(OUTPUT[1:2])))
    assert [one["sequence_number"] for one in said] == list(range(len(said)))
    assert [one["type"].removeprefix("response.") for one in said] == [
        *("created", "in_progress", "output_item.added"),
        *("content_part.added", "output_text.delta", "output_text.annotation.added"),
        *("output_text.done", "content_part.done"),
        *("content_part.added", "refusal.delta", "refusal.done", "content_part.done"),
        *("output_item.done", "completed"),
    ]


def test_a_response_begins_empty_and_in_progress() -> None:
    created = told(to_events(body()))[0]["response"]
    assert (created["status"], created["output"], created["usage"]) == ("in_progress", [], None)
    assert created["id"] == "resp_1"


def test_the_deltas_make_the_output() -> None:
    said = told(to_events(body()))
    deltas = [one["delta"] for one in said if one["type"].endswith(".delta")]
    assert deltas == ["first", "then", "thought", "Hi\n好", "No.", '{"a":1}', "x y"]
    assert [one["item"] for one in said if one["type"] == "response.output_item.done"] == OUTPUT
    added = [one["item"] for one in said if one["type"] == "response.output_item.added"]
    written = [item.get("content", item.get("arguments", item.get("input"))) for item in added]
    assert written == [[], [], "", ""]


def test_together_again() -> None:
    told_body = to_body(to_events(body()))
    assert json.loads(told_body) == RESPONSE
    assert b"\n" not in told_body


def test_the_response_is_cut_out_byte_for_byte() -> None:
    inner = b'{ "id":"resp_1",  "x": 1.50, "status":"completed" }'
    last = b'event: response.completed\ndata: {"type":"response.completed", "response": ' + inner + b"}\n\n"
    assert (
        to_body([b'data: {"type":"response.created","response":{}}\n\n', last, b"data: [DONE]\n\n"]) == inner
    )


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "ws_1"},
        {"type": "message", "id": None, "content": []},
        {"type": "message", "id": "msg_1", "content": [{"type": "output_audio"}]},
        {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": None}]},
        {"type": "function_call", "id": "fc_1"},
        7,
    ],
)
def test_an_item_that_cannot_be_told_in_events(item: Any) -> None:
    with pytest.raises(UnfaithfulError):
        to_events(body([item]))


def test_only_a_completed_response_is_told() -> None:
    with pytest.raises(UnfaithfulError):
        to_events(body(status="incomplete"))
    with pytest.raises(UnfaithfulError):
        to_body([b'data: {"type":"response.incomplete","response":{}}\n\n'])
