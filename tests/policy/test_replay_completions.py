from typing import Any

import pytest

from gateway.policy.replay_chunks import UnfaithfulError
from gateway.policy.replay_completions import join, split

LOGPROBS = {"tokens": ["a", "b"], "token_logprobs": [None, -0.5], "top_logprobs": [None, {"b": -0.5}]}


@pytest.mark.parametrize(
    "choice",
    [
        {"text": "Hi", "index": 0, "logprobs": None, "finish_reason": "stop"},
        {"text": "", "index": 3, "logprobs": LOGPROBS, "finish_reason": "length"},
        {"text": "好", "index": 0, "logprobs": None, "finish_reason": "stop", "stop_reason": 7},
    ],
)
def test_apart_and_together_again(choice: dict[str, Any]) -> None:
    pieces = split(choice)
    assert [piece["finish_reason"] for piece in pieces] == [None, choice["finish_reason"]]
    assert join(pieces) == choice


def test_texts_and_logprobs_are_continued() -> None:
    parts: list[Any] = [("a", {"tokens": ["a"]}), ("b", {"tokens": ["b"]})]
    pieces = [{"text": text, "index": 0, "logprobs": logprobs} for text, logprobs in parts]
    choice = join([*pieces, {"text": "", "index": 0, "finish_reason": "stop"}])
    assert choice == {"text": "ab", "index": 0, "logprobs": {"tokens": ["a", "b"]}, "finish_reason": "stop"}


@pytest.mark.parametrize("wrong", [{"text": None}, {"index": None}, {"token_ids": [1]}])
def test_what_cannot_be_told_apart(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnfaithfulError):
        split({"text": "Hi", "index": 0, "logprobs": None, "finish_reason": "stop"} | wrong)


def test_a_choice_without_an_end_is_none() -> None:
    with pytest.raises(UnfaithfulError):
        join([{"text": "Hi", "index": 0, "finish_reason": None}])
