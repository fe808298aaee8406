import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.tools import Calls, billed, billed_in_items, calls_of

SESSION = "code_interpreter"


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ({"type": "web_search"}, "web_search"),
        ({"type": "web_search_2025_08_26"}, "web_search"),
        ({"type": "web_search_preview"}, "web_search"),
        ({"type": "web_search_preview_2025_03_11", "search_context_size": "low"}, "web_search"),
        ({"type": "file_search", "vector_store_ids": ["vs_1"]}, "file_search"),
        ({"type": "code_interpreter", "container": "cntr_1"}, SESSION),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, SESSION),
        ({"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "1g"}}, SESSION),
        ({"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}, f"{SESSION}_4g"),
        ({"type": "shell", "environment": {"type": "container_auto"}}, SESSION),
        (
            {"type": "shell", "environment": {"type": "container_auto", "memory_limit": "64g"}},
            f"{SESSION}_64g",
        ),
        ({"type": "image_generation", "model": "gpt-image-2"}, "image_generation"),
        ({"type": "programmatic_tool_calling"}, "programmatic_tool_calling"),
        ({"type": "telepathy"}, "telepathy"),
    ],
)
def test_what_the_upstream_bills_by_the_call(tool: dict[str, Any], name: str) -> None:
    assert billed(json.dumps([{"type": "function"}, tool, tool]).encode()) == {name}


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "name": "f", "parameters": {"type": "object"}},
        *({"type": name} for name in ("custom", "local_shell", "mcp", "apply_patch", "tool_search")),
        {"type": "namespace", "tools": [{"type": "function"}]},
        {"type": "shell"},
        {"type": "shell", "environment": {"type": "local"}},
        {"type": "computer_use_preview", "environment": "browser"},
        {"type": "computer"},
        {"name": "f"},
    ],
)
def test_what_costs_nothing_beyond_its_tokens(tool: dict[str, Any]) -> None:
    assert billed(json.dumps([tool]).encode()) == frozenset()


@pytest.mark.parametrize("tools", [b"{}", b'"web_search"', b"[5]", b'[{"type":5}]', b'["web_search"]'])
def test_no_tools(tools: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        billed(tools)


def test_items_may_bring_tools() -> None:
    said = {"role": "user", "content": "hi"}
    brought = {"type": "additional_tools", "role": "developer", "tools": [{"type": "file_search"}]}
    items = json.dumps([said, brought]).encode()
    assert billed_in_items(items) == {"file_search"}
    assert billed_in_items(items.replace(b"tools", b"t\\u006fols")) == {"file_search"}
    assert billed_in_items(json.dumps([said]).encode()) == frozenset()
    assert billed_in_items(b'"tools"') == frozenset()
    assert billed_in_items(b'[5,{"tools":5},{"tools":[{"type":"web_search"}]}]') == {"web_search"}


def search(action: Any, name: str = "ws_1") -> dict[str, Any]:
    return {"type": "web_search_call", "id": name, "status": "completed", "action": action}


@pytest.mark.parametrize(
    ("items", "counts"),
    [
        ([], {}),
        ([{"type": "message", "id": "m"}, {"type": "function_call", "id": "f"}], {}),
        ([search({"type": "search", "query": "x"})], {"web_searches": 1}),
        ([search(None), search({}, "ws_2")], {"web_searches": 2}),
        ([search({"type": "open_page"}), search({"type": "find_in_page"}, "ws_2")], {}),
        ([{"type": "file_search_call", "id": "fs_1"}], {"file_searches": 1}),
        ([{"type": "image_generation_call", "id": "ig_1"}], {"image_calls": 1}),
        (
            [
                {"type": "code_interpreter_call", "id": "ci_1", "container_id": "c1"},
                {"type": "code_interpreter_call", "id": "ci_2", "container_id": "c1"},
                {"type": "code_interpreter_call", "id": "ci_3", "container_id": "c2"},
                {"type": "shell_call", "id": "sh_1", "environment": {"container_id": "c3"}},
                {"type": "shell_call", "id": "sh_2", "environment": {"type": "local"}},
            ],
            {"code_sessions": 3},
        ),
    ],
)
def test_what_an_answer_used(items: list[Any], counts: dict[str, int]) -> None:
    assert calls_of(json.dumps(items).encode()) == counts


def test_a_call_that_is_told_of_twice_is_one() -> None:
    calls = Calls()
    calls.add(json.dumps(search(None)).encode())
    assert calls.counts() == {"web_searches": 1}, "before it says what it is, it may be a search"
    calls.add(json.dumps(search({"type": "open_page"})).encode())
    assert calls.counts() == {}


@given(st.binary(max_size=40))
def test_noise_counts_nothing(noise: bytes) -> None:
    assert calls_of(b"_call" + noise) == {}
    calls = Calls()
    calls.add(noise)
    assert calls.counts() == {}
