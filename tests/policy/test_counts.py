from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.counts import NAMES, read_usage, state_usage, texts
from gateway.policy.records import Usage

counts = st.integers(0, 10**9)


@given(st.sampled_from(sorted(NAMES)), counts, counts, counts, counts)
def test_what_is_stated_is_read(endpoint: str, into: int, out: int, cached: int, reasoning: int) -> None:
    out = 0 if endpoint == "embeddings" else out
    usage = Usage(into, out, min(cached, into), min(reasoning, out))
    assert read_usage(endpoint, state_usage(endpoint, usage)) == usage


@pytest.mark.parametrize("wrong", [None, -1, "7", 1.5, True, 10**18, [], {}])
def test_a_count_that_cannot_be_believed_is_none(wrong: Any) -> None:
    assert read_usage("chat.completions", {"prompt_tokens": wrong, "completion_tokens": 1}) is None
    assert read_usage("responses", {"input_tokens": 1, "output_tokens": wrong}) is None


@pytest.mark.parametrize("wrong", [None, -1, "7", [], 5, {"cached_tokens": -1}, {"cached_tokens": "2"}, {}])
def test_wrong_details_count_as_nothing(wrong: Any) -> None:
    stated = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": wrong}
    assert read_usage("chat.completions", stated) == Usage(3, 4)


def test_details_are_part_of_their_whole() -> None:
    stated = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 9}}
    assert read_usage("completions", stated) == Usage(3, 4, cached=3)


def test_an_endpoint_without_usage_states_none() -> None:
    assert read_usage("moderations", {"prompt_tokens": 3, "completion_tokens": 4}) is None


def test_texts_are_the_words_and_not_the_labels() -> None:
    message = {
        "role": "assistant",
        "content": [{"type": "text", "text": "a"}],
        "refusal": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "b", "arguments": "c"}}],
    }
    assert list(texts(message)) == ["a", "b", "c"]


def test_texts_of_a_deep_nest_come_to_an_end() -> None:
    nest: Any = "deep"
    for _ in range(5_000):
        nest = [nest]
    assert list(texts(nest)) == []
