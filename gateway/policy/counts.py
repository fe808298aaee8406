"""The `usage` member of an answer, and the words in it that are the model's own.

The names are those of OpenAI's API description: `CompletionUsage`, `ResponseUsage`, the embeddings' usage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from gateway.policy.facts import Facts
from gateway.policy.records import Usage

ABSURD: Final = 10**9  # tokens: a thousand times the largest context window on offer

# Under which names an endpoint counts what went in and what came out. Embeddings put nothing out.
NAMES: Final = {
    "chat.completions": ("prompt_tokens", "completion_tokens"),
    "completions": ("prompt_tokens", "completion_tokens"),
    "embeddings": ("prompt_tokens", None),
    "responses": ("input_tokens", "output_tokens"),
}
# What operations that are passed on state their usage as: `ImagesUsage`, `TranscriptTextUsageTokens`,
# `SpeechAudioDoneEvent`, `ResponseUsage`; and, older than these, `RunCompletionUsage`.
_PASSED: Final = (NAMES["responses"], NAMES["chat.completions"])
# A length in seconds where there are no tokens: about so many of them go into a second of speech.
AUDIO_TOKENS_PER_SECOND: Final = 10
# OpenAI's $0.015 a minute at $12 per million are 1,250 tokens a minute. People read 150 words out in one, or
# 200 tokens of text: 6.25 for each of them.
SPOKEN_PER_TOKEN: Final = 7
_MAX_TIER: Final = 64
_NO_CALLS: Final[Mapping[str, int]] = MappingProxyType({})
_WORDS: Final = (
    *("content", "refusal", "reasoning_content", "reasoning", "summary", "text"),
    *("tool_calls", "function_call", "function", "custom", "name", "arguments", "input"),
)


def read_usage(
    endpoint: str, stated: Any, tier: str = "", calls: Mapping[str, int] = _NO_CALLS
) -> Usage | None:
    """A decoded `usage` member. Its details are optional; what is wrong among them counts as 0.

    `tier` and `calls` are what the answer says elsewhere: its service tier, and its billed calls by the names
    of `Usage`. Details are parts of a whole, and never more than it.
    """
    if not isinstance(stated, dict) or endpoint not in NAMES:
        return None
    return _usage(stated, *NAMES[endpoint], tier, calls)


def read_passed_usage(endpoint: str, stated: Any, tier: str = "") -> Usage | None:
    """The same of an operation whose answer is passed on, under whichever names it has.

    None for one that is stated in seconds: see `seconds_of`.
    """
    if not isinstance(stated, dict):
        return None
    names = next((names for names in _PASSED if names[0] in stated), None)
    usage = _usage(stated, *names, tier, _NO_CALLS) if names is not None else None
    return None if usage is None else _of_kinds(endpoint, usage, stated)


def estimated_passed(endpoint: str, input: int, output: int, tier: str = "") -> Usage:
    """The usage of an operation that is passed on where it states none."""
    return _of_kinds(endpoint, Usage(input, output, estimated=True, tier=tier), {})


def unread_output(endpoint: str, input: int, worst: int) -> int | None:
    """How many tokens came out that are no text, where no usage is stated. None: it is text, to be counted.

    Of pictures nobody can say: as many as there can be. Of speech about so many as it takes to read the text
    out.
    """
    if endpoint.startswith("images."):
        return worst
    return min(SPOKEN_PER_TOKEN * input, worst) if endpoint.startswith("audio.speech") else None


def seconds_of(stated: Any) -> float:
    """How many seconds of sound a `TranscriptTextUsageDuration` counts; 0 where it is none."""
    seconds = stated.get("seconds") if isinstance(stated, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return 0
    return seconds if 0 <= seconds <= ABSURD else 0


def _of_kinds(endpoint: str, usage: Usage, stated: dict[str, Any]) -> Usage:
    """What no details tell apart is of the kind that the operation is about: the dearer one."""
    if not _details(stated, "input_tokens"):
        if endpoint.startswith("audio.trans"):
            usage = replace(usage, input_audio=usage.input)
        elif endpoint.startswith("images."):
            usage = replace(usage, input_image=usage.input)
    if endpoint.startswith("images.") and not _details(stated, "output_tokens"):
        usage = replace(usage, output_image=usage.output)
    return usage


def _usage(
    stated: dict[str, Any], into: str, out: str | None, tier: str, calls: Mapping[str, int]
) -> Usage | None:
    asked = _count(stated.get(into))
    answered = _count(stated.get(out)) if out else 0
    if asked is None or answered is None:
        return None
    of_input, of_output = _details(stated, into), _details(stated, out)
    of_cached = _object(of_input.get("cached_tokens_details"))
    cached, audio = _part(of_input, "cached_tokens", asked), _part(of_input, "audio_tokens", asked)
    image = _part(of_input, "image_tokens", asked - audio)
    cached_audio = _part(of_cached, "audio_tokens", min(cached, audio))
    spoken = _part(of_output, "audio_tokens", answered)
    return Usage(
        input=asked,
        output=answered,
        cached=cached,
        reasoning=_part(of_output, "reasoning_tokens", answered),
        cache_write=_part(of_input, "cache_write_tokens", asked - cached),
        input_audio=audio,
        input_image=image,
        cached_audio=cached_audio,
        cached_image=_part(of_cached, "image_tokens", min(cached - cached_audio, image)),
        output_audio=spoken,
        output_image=_part(of_output, "image_tokens", answered - spoken),
        estimated=False,
        tier=tier,
        **calls,
    )


def state_usage(endpoint: str, usage: Usage) -> dict[str, Any]:
    """The `usage` member that says this, in the endpoint's names, without the rarer details that are 0."""
    into, out = NAMES[endpoint]
    of_cached = _stated({"audio_tokens": usage.cached_audio, "image_tokens": usage.cached_image})
    of_input = {"cached_tokens": usage.cached} | _stated(
        {
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": usage.input_audio,
            "image_tokens": usage.input_image,
        }
    )
    counts: dict[str, Any] = {
        into: usage.input,
        f"{into}_details": of_input | ({"cached_tokens_details": of_cached} if of_cached else {}),
    }
    if out:
        of_output = _stated({"audio_tokens": usage.output_audio, "image_tokens": usage.output_image})
        counts |= {out: usage.output, f"{out}_details": {"reasoning_tokens": usage.reasoning} | of_output}
    return counts | {"total_tokens": usage.total}


def as_billed(usage: Usage, endpoint: str, facts: Facts) -> Usage:
    """The usage with what the answer does not say and the request does.

    A chat that searches the web does so once, whatever it says of it. An answer that never came to its end
    did not say its tier: the one that was asked for holds.
    """
    if endpoint == "chat.completions" and "web_search" in facts.tools:
        usage = replace(usage, web_searches=max(usage.web_searches, 1))
    if usage.estimated and not usage.tier and facts.tier:
        usage = replace(usage, tier=facts.tier)
    return usage


def tier_of(said: Any) -> str:
    """An answer's `service_tier`; empty where it has none that can be believed."""
    return said if isinstance(said, str) and len(said) <= _MAX_TIER and said.isprintable() else ""


def texts(value: Any, depth: int = 12) -> Iterator[str]:
    """The strings in a message, a delta or an output item that are the model's own words."""
    if isinstance(value, str):
        if value:
            yield value
        return
    if isinstance(value, dict):
        value = [value[name] for name in _WORDS if name in value]
    if isinstance(value, list) and depth:
        for element in value:
            yield from texts(element, depth - 1)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= ABSURD else None


def _details(stated: dict[str, Any], whole: str | None) -> dict[str, Any]:
    """Transcriptions and realtime sessions spell the name in the singular: `input_token_details`."""
    if whole is None:
        return {}
    plural = stated.get(f"{whole}_details")
    return _object(stated.get(f"{whole[:-1]}_details") if plural is None else plural)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _part(details: dict[str, Any], name: str, whole: int) -> int:
    return min(whole, _count(details.get(name)) or 0)


def _stated(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}
