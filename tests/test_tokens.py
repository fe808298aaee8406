"""Counting tokens as OpenAI would, without a tokenizer on the event loop's time."""

import pytest

from gateway.tokens import TokenCounter, encoding_of


@pytest.mark.parametrize(
    ("model", "encoding"),
    [("gpt-4o-mini", "o200k_base"), ("gpt-4", "cl100k_base"), ("gpt-4-turbo", "cl100k_base"),
     ("gpt-3.5-turbo", "cl100k_base"), ("text-embedding-3-small", "cl100k_base"), ("gpt-9", "o200k_base"),
     (None, "o200k_base")],
)  # fmt: skip
def test_each_model_has_its_tokenizer(model: str | None, encoding: str) -> None:
    assert encoding_of(model) == encoding


async def test_texts_are_counted_together_warm_or_cold() -> None:
    counter = TokenCounter()
    cold = await counter.count(["hello world", "hello"], "gpt-4o")
    assert cold == 3
    assert await counter.count(["hello world", "hello"], "gpt-4o") == cold
    assert await counter.count(["hello " * 20_000], "gpt-4o") >= 20_000
    assert await counter.count([], "gpt-4o") == 0


async def test_special_tokens_and_surrogates_are_text() -> None:
    counter = TokenCounter()
    assert await counter.count(["<|endoftext|>"], "gpt-4o") > 1
    assert await counter.count(["\ud800 is half a character"], "gpt-4o") > 3
