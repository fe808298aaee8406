from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.counts import (
    NAMES,
    as_billed,
    estimated_passed,
    read_passed_usage,
    read_usage,
    seconds_of,
    state_usage,
    texts,
    tier_of,
    unread_output,
)
from gateway.policy.facts import Facts
from gateway.policy.records import Usage

counts = st.integers(0, 10**9)


@given(st.sampled_from(sorted(NAMES)), st.data())
def test_what_is_stated_is_read(endpoint: str, data: st.DataObject) -> None:
    def part(whole: int) -> int:
        return data.draw(st.integers(0, whole))

    into, out = data.draw(counts), 0 if endpoint == "embeddings" else data.draw(counts)
    cached, audio = part(into), part(into)
    image, old_audio, spoken = part(into - audio), part(min(cached, audio)), part(out)
    usage = Usage(
        input=into,
        output=out,
        cached=cached,
        reasoning=part(out),
        cache_write=part(into - cached),
        input_audio=audio,
        input_image=image,
        cached_audio=old_audio,
        cached_image=part(min(cached - old_audio, image)),
        output_audio=spoken,
        output_image=part(out - spoken),
    )
    assert read_usage(endpoint, state_usage(endpoint, usage)) == usage


def test_a_plain_usage_is_stated_as_plainly_as_ever() -> None:
    assert state_usage("chat.completions", Usage(3, 4)) == {
        "prompt_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens": 4,
        "completion_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
    }


def test_the_kinds_have_openais_names() -> None:
    stated = {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "total_tokens": 1100,
        "prompt_tokens_details": {
            "cached_tokens": 400,
            "cache_write_tokens": 100,
            "text_tokens": 900,
            "audio_tokens": 50,
            "image_tokens": 60,
            "cached_tokens_details": {"text_tokens": 350, "audio_tokens": 20, "image_tokens": 30},
        },
        "completion_tokens_details": {"reasoning_tokens": 10, "audio_tokens": 20, "image_tokens": 30},
    }
    expected = Usage(
        *(1000, 100),
        cached=400,
        reasoning=10,
        cache_write=100,
        input_audio=50,
        input_image=60,
        cached_audio=20,
        cached_image=30,
        output_audio=20,
        output_image=30,
        tier="flex",
        web_searches=2,
    )
    assert read_usage("chat.completions", stated, "flex", {"web_searches": 2}) == expected


def test_parts_that_contradict_each_other_fit_into_their_whole() -> None:
    details = dict.fromkeys(("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"), 9)
    stated = {
        "input_tokens": 10,
        "output_tokens": 10,
        "input_tokens_details": details | {"cached_tokens_details": details},
        "output_tokens_details": details,
    }
    assert read_usage("responses", stated) == Usage(
        *(10, 10),
        cached=9,
        cache_write=1,
        input_audio=9,
        input_image=1,
        cached_audio=9,
        cached_image=0,
        output_audio=9,
        output_image=1,
    )


@pytest.mark.parametrize("wrong", [None, 5, ["flex"], "x" * 65, "a\nb"])
def test_a_tier_that_cannot_be_believed_is_none(wrong: Any) -> None:
    assert (tier_of(wrong), tier_of("flex")) == ("", "flex")


FACTS = Facts("gpt-4o", False, None, 1, None, None, False, {}, tier="flex", tools=frozenset({"web_search"}))


def test_a_chat_that_searches_is_billed_for_one_search() -> None:
    usage = Usage(3, 4)
    assert as_billed(usage, "chat.completions", FACTS) == replace(usage, web_searches=1)
    assert as_billed(usage, "responses", FACTS) == usage, "a response lists its searches"
    assert as_billed(usage, "chat.completions", replace(FACTS, tools=frozenset())) == usage


def test_an_answer_that_did_not_say_its_tier_has_the_one_asked_for_if_it_was_cut() -> None:
    cut = Usage(3, 4, estimated=True)
    assert as_billed(cut, "responses", FACTS).tier == "flex"
    assert as_billed(replace(cut, tier="priority"), "responses", FACTS).tier == "priority"
    assert as_billed(Usage(3, 4), "responses", FACTS).tier == ""


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


# Operations whose answers are passed on


@pytest.mark.parametrize(
    ("endpoint", "stated", "usage"),
    [
        ("responses.compact", {"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
        ("threads.runs.create", {"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4)),
        # What no details tell apart is the dearer kind.
        ("images.edit", {"input_tokens": 3, "output_tokens": 4}, Usage(3, 4, input_image=3, output_image=4)),
        ("audio.transcriptions.create", {"input_tokens": 3, "output_tokens": 4}, Usage(3, 4, input_audio=3)),
        (
            "images.generate",
            {
                "input_tokens": 9,
                "output_tokens": 8,
                "input_tokens_details": {"text_tokens": 9, "image_tokens": 0},
                "output_tokens_details": {"text_tokens": 2, "image_tokens": 6},
            },
            Usage(9, 8, output_image=6),
        ),
        (
            "audio.transcriptions.create",
            {"input_tokens": 9, "input_token_details": {"audio_tokens": 5}, "output_tokens": 1},
            Usage(9, 1, input_audio=5),
        ),
        ("images.generate", {"input_tokens": 3}, None),
        ("images.generate", {"input_tokens": -3, "output_tokens": 4}, None),
        ("images.generate", {"type": "duration", "seconds": 3}, None),
        ("images.generate", [], None),
        ("images.generate", None, None),
    ],
)
def test_what_is_passed_on_states_its_usage_in_several_ways(
    endpoint: str, stated: Any, usage: Usage | None
) -> None:
    assert read_passed_usage(endpoint, stated) == usage


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ({"type": "duration", "seconds": 8.5}, 8.5),
        ({"seconds": 9}, 9),
        *(({"seconds": wrong}, 0) for wrong in (True, "9", -1, 10**12, None, float("inf"))),
        ([], 0),
        (None, 0),
    ],
)
def test_seconds(stated: Any, seconds: float) -> None:
    assert seconds_of(stated) == seconds


def test_what_is_not_text_is_not_counted_as_text() -> None:
    assert unread_output("images.generate", 10, 8192) == 8192
    assert unread_output("audio.speech.create", 10, 2000) == 70
    assert unread_output("audio.speech.create", 10, 50) == 50
    assert unread_output("audio.transcriptions.create", 10, 50) is None
    assert unread_output("chat.completions", 10, 50) is None


def test_an_estimate_is_of_the_kind_that_the_operation_is_about() -> None:
    assert estimated_passed("images.generate", 1, 2, "flex") == Usage(
        *(1, 2), estimated=True, tier="flex", input_image=1, output_image=2
    )
    assert estimated_passed("edits", 1, 2) == Usage(1, 2, estimated=True)
