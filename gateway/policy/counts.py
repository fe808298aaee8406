"""The `usage` member of an answer, and the words in it that are the model's own.

The names are those of OpenAI's API description: `CompletionUsage`, `ResponseUsage`, the embeddings' usage.
"""

from collections.abc import Iterator
from typing import Any, Final

from gateway.policy.records import Usage

ABSURD: Final = 10**9  # tokens: a thousand times the largest context window on offer

# Under which names an endpoint counts what went in and what came out. Embeddings put nothing out.
NAMES: Final = {
    "chat.completions": ("prompt_tokens", "completion_tokens"),
    "completions": ("prompt_tokens", "completion_tokens"),
    "embeddings": ("prompt_tokens", None),
    "responses": ("input_tokens", "output_tokens"),
}
_WORDS: Final = (
    *("content", "refusal", "reasoning_content", "reasoning", "summary", "text"),
    *("tool_calls", "function_call", "function", "custom", "name", "arguments", "input"),
)


def read_usage(endpoint: str, stated: Any) -> Usage | None:
    """A decoded `usage` member. Its details are optional; what is wrong among them counts as 0."""
    if not isinstance(stated, dict) or endpoint not in NAMES:
        return None
    into, out = NAMES[endpoint]
    asked = _count(stated.get(into))
    answered = _count(stated.get(out)) if out else 0
    if asked is None or answered is None:
        return None
    return Usage(
        input=asked,
        output=answered,
        cached=min(asked, _detail(stated, f"{into}_details", "cached_tokens")),
        reasoning=min(answered, _detail(stated, f"{out}_details", "reasoning_tokens")),
    )


def state_usage(endpoint: str, usage: Usage) -> dict[str, Any]:
    """The `usage` member that says this, in the endpoint's own names."""
    into, out = NAMES[endpoint]
    counts: dict[str, Any] = {into: usage.input, f"{into}_details": {"cached_tokens": usage.cached}}
    if out:
        counts |= {out: usage.output, f"{out}_details": {"reasoning_tokens": usage.reasoning}}
    return counts | {"total_tokens": usage.total}


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


def _detail(stated: dict[str, Any], group: str, name: str) -> int:
    details = stated.get(group)
    return (_count(details.get(name)) or 0) if isinstance(details, dict) else 0
