"""Counting tokens as OpenAI would, without a tokenizer on the event loop's time."""

from dataclasses import replace

import pytest

from gateway.tokens import TokenCounter, encoding_of
from tests.exchanges import asking, ended


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


async def test_of_a_long_text_the_beginning_is_counted_and_the_rest_is_like_it() -> None:
    counter = TokenCounter()
    assert await counter.output_of(["hello world"], 11, "gpt-4o") == 2
    assert await counter.output_of(["hello world"], 12, "gpt-4o") == 3
    assert await counter.output_of(["hello ", "world"], 11_000, "gpt-4o") == 3_000
    assert await counter.output_of(["\ud800"], 1, "gpt-4o") > 0
    assert await counter.output_of([], 0, "gpt-4o") == 0


async def test_what_is_not_loaded_beforehand_is_loaded_when_it_is_needed() -> None:
    counter = TokenCounter()
    await counter.load()
    assert await counter.count(["hello world"], "gpt-9") == 2
    assert await counter.count(["hello world"], "gpt-4") == 2


@pytest.mark.parametrize(("bound", "tokens"), [(16_000, 16_000), (0, 0), (None, 0)])
async def test_a_body_that_is_passed_on_unread_has_at_most_so_many(bound: int | None, tokens: int) -> None:
    exchange = ended(
        "audio.transcriptions.create", facts=replace(asking(), input_bound=bound), upload=object()
    )
    assert await TokenCounter().input_of(exchange) == tokens
    assert exchange.input_tokens == tokens
