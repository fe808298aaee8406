"""Model names: who may ask for which, what is sent instead, how much it answers, what metrics call it."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from gateway.policy.patterns import fits, matches
from gateway.policy.retirements import TABLE

_T = TypeVar("_T")

_DEFAULT_CAP = 16_384

# The most tokens in one answer, reasoning included: OpenAI's model pages. The longest fitting pattern holds.
_OUTPUT_CAPS = {
    "gpt-3.5-turbo*": 4_096,
    "gpt-4": 8_192,
    "gpt-4-0*": 8_192,
    "gpt-4-0125-preview": 4_096,
    "gpt-4-1106-*": 4_096,
    "gpt-4-32k*": 32_768,
    "gpt-4-turbo*": 4_096,
    "gpt-4-vision*": 4_096,
    "gpt-4.1*": 32_768,
    "gpt-4.5*": 16_384,
    "gpt-4o*": 16_384,
    "gpt-4o-2024-05-13": 4_096,
    "gpt-5*": 128_000,
    "gpt-5*-chat-latest": 16_384,
    "gpt-5-pro*": 272_000,
    "gpt-6*": 128_000,
    "gpt-daybreak*": 128_000,
    "gpt-rosalind*": 128_000,
    "gpt-oss*": 131_072,
    "chatgpt-4o-latest": 16_384,
    "codex-mini-latest": 100_000,
    "o1*": 100_000,
    "o1-mini*": 65_536,
    "o1-preview*": 32_768,
    "o3*": 100_000,
    "o4*": 100_000,
    "text-davinci-*": 4_096,
}

_REASONING = re.compile(r"o[1-9]|gpt-(?:[5-9]|[1-9][0-9])|gpt-daybreak|codex")

# The names that metrics know without configuration: those that OpenAI's description of its API lists, those
# that it has prices for, and those that it has shut down or will.
_NAMED = frozenset(
    """
    gpt-6.1-sol gpt-6.1-terra gpt-6-sol gpt-6-luna gpt-6-astra gpt-6-cyber gpt-6-rosalind gpt-chat-latest
    gpt-rosalind-discovery gpt-rosalind-research gpt-5.6 gpt-5.5-cyber gpt-5.4-pro gpt-5.3 gpt-5-search-api
    gpt-oss-120b gpt-oss-20b gpt-oss-safeguard-20b gpt-transcribe gpt-live-1 gpt-live-transcribe
    gpt-4o-mini-transcribe-2025-12-15 gpt-audio-1.5 gpt-audio-mini gpt-realtime-1.5 gpt-realtime-2
    gpt-realtime-2.1 gpt-realtime-2.1-mini gpt-realtime-mini gpt-realtime-translate gpt-realtime-whisper
    gpt-image-2 gpt-image-2.5-sunburst gpt-image-2.5-flare
    gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna gpt-5.6-cyber gpt-5.5 gpt-5.5-2026-04-23 gpt-5.5-pro
    gpt-5.5-pro-2026-04-23 gpt-5.4 gpt-5.4-mini gpt-5.4-mini-2026-03-17 gpt-5.4-nano gpt-5.4-nano-2026-03-17
    gpt-5.3-chat-latest gpt-5.2 gpt-5.2-2025-12-11 gpt-5.2-chat-latest gpt-5.2-pro gpt-5.2-pro-2025-12-11
    gpt-5.1 gpt-5.1-2025-11-13 gpt-5.1-codex gpt-5.1-codex-max gpt-5.1-mini gpt-5.1-chat-latest gpt-5
    gpt-5-2025-08-07 gpt-5-chat-latest gpt-5-codex gpt-5-mini gpt-5-mini-2025-08-07 gpt-5-nano
    gpt-5-nano-2025-08-07 gpt-5-pro gpt-5-pro-2025-10-06 gpt-4.1 gpt-4.1-2025-04-14 gpt-4.1-mini
    gpt-4.1-mini-2025-04-14 gpt-4.1-nano gpt-4.1-nano-2025-04-14 gpt-4o gpt-4o-2024-05-13 gpt-4o-2024-08-06
    gpt-4o-2024-11-20 gpt-4o-audio-preview gpt-4o-audio-preview-2024-10-01 gpt-4o-audio-preview-2024-12-17
    gpt-4o-audio-preview-2025-06-03 gpt-4o-mini gpt-4o-mini-2024-07-18 gpt-4o-mini-audio-preview
    gpt-4o-mini-audio-preview-2024-12-17 gpt-4o-mini-search-preview gpt-4o-mini-search-preview-2025-03-11
    gpt-4o-search-preview gpt-4o-search-preview-2025-03-11 chatgpt-4o-latest codex-mini-latest gpt-4
    gpt-4-0314 gpt-4-0613 gpt-4-0125-preview gpt-4-1106-preview gpt-4-32k gpt-4-32k-0314 gpt-4-32k-0613
    gpt-4-turbo gpt-4-turbo-2024-04-09 gpt-4-turbo-preview gpt-4-vision-preview gpt-3.5-turbo
    gpt-3.5-turbo-0125 gpt-3.5-turbo-0301 gpt-3.5-turbo-0613 gpt-3.5-turbo-1106 gpt-3.5-turbo-16k
    gpt-3.5-turbo-16k-0613
    gpt-3.5-turbo-instruct o1 o1-2024-12-17 o1-mini o1-mini-2024-09-12 o1-preview o1-preview-2024-09-12 o1-pro
    o1-pro-2025-03-19 o3 o3-2025-04-16 o3-deep-research o3-deep-research-2025-06-26 o3-mini o3-mini-2025-01-31
    o3-pro o3-pro-2025-06-10 o4-mini o4-mini-2025-04-16 o4-mini-deep-research o4-mini-deep-research-2025-06-26
    computer-use-preview computer-use-preview-2025-03-11 gpt-daybreak-blue-latest gpt-daybreak-red-latest
    davinci-002 babbage-002 text-embedding-ada-002 text-embedding-3-small text-embedding-3-large
    omni-moderation-latest omni-moderation-2024-09-26 text-moderation-latest text-moderation-stable
    """.split()  # noqa: SIM905 - a list of a hundred strings would be a page
)
KNOWN = _NAMED | {name for name in TABLE if "*" not in name}


def output_cap(model: str, overrides: Mapping[str, int]) -> int:
    """The most tokens that one answer of this model can have; `overrides` are patterns and come first.

    A fine-tuned model (`ft:gpt-4o:org::id`) has its base's, and `openai/gpt-4o` what `gpt-4o` has.
    """
    found = best(overrides, model)
    return _known_cap(model) if found is None else found


@lru_cache(maxsize=1024)
def _known_cap(model: str) -> int:
    found = best(_OUTPUT_CAPS, _base(model))
    return _DEFAULT_CAP if found is None else found


def best(table: Mapping[str, _T], model: str) -> _T | None:
    """The entry for exactly this name, else that of the longest pattern that fits."""
    if model in table:
        return table[model]
    patterns = [pattern for pattern in table if fits(pattern, model)]
    return table[max(patterns, key=lambda pattern: (len(pattern), pattern))] if patterns else None


def untuned(model: str) -> str:
    """The model that a fine-tuned one (`ft:gpt-4o:org::id`) was made of; any other is itself."""
    return model.split(":")[1] if model.startswith("ft:") else model


def _base(model: str) -> str:
    return untuned(model) if model.startswith("ft:") else model.rpartition("/")[2]


def reasons(model: str) -> bool:
    """Whether it is one of OpenAI's that know `max_completion_tokens`, and refuse a chat's `max_tokens`."""
    return _REASONING.match(_base(model)) is not None


@lru_cache(maxsize=1024)
def searches(model: str) -> bool:
    """Whether a chat with it searches the web each time, unasked (OpenAI's guide to web search)."""
    base = _base(model)
    return any(f"-search-{kind}" in base for kind in ("preview", "api"))


def label(model: str | None, known: Collection[str]) -> str:
    """What metrics call a model: its name if it is configured or OpenAI's, `other` if not, `none` for none.

    So that a million invented names make one series.
    """
    if model is None:
        return "none"
    return model if model in KNOWN or model in known else "other"


def allowed(patterns_per_owner: Iterable[Sequence[str]], model: str) -> bool:
    """Whether every owner (key, team) allows the model."""
    return all(matches(patterns, model) for patterns in patterns_per_owner)
