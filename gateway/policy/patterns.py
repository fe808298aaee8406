"""Model patterns: `*` stands for any run of characters, everything else for itself, case included."""

from collections.abc import Iterable


def matches(patterns: Iterable[str], model: str) -> bool:
    """Whether one of the patterns names the model."""
    return any(fits(pattern, model) for pattern in patterns)


def fits(pattern: str, text: str) -> bool:
    """Whether the pattern covers the whole text.

    Works from left to right without going back, so that no pattern is slow, as a regular expression could be.
    """
    if pattern == "*":
        return True
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *middle, last = others
    if not text.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(last) and text.endswith(last)
