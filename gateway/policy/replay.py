"""A kept answer in the form that the client asked for, whichever form it came in."""

from typing import Final

from gateway.policy import replay_chat, replay_completions, replay_responses
from gateway.policy.entry import Entry
from gateway.policy.replay_chunks import (
    Family,
    UnfaithfulError,
    to_body,
    to_events,
    with_usage,
    without_usage,
)

_FAMILIES: Final = {
    family.endpoint: family
    for family in (
        Family(
            "chat.completions",
            "chat.completion",
            "chat.completion.chunk",
            replay_chat.split,
            replay_chat.join,
        ),
        Family(
            "completions",
            "text_completion",
            "text_completion",
            replay_completions.split,
            replay_completions.join,
        ),
    )
}


def for_stream(endpoint: str, entry: Entry, include_usage: bool) -> list[bytes] | None:
    """The raw events for a client that asked for a stream; `include_usage`: and for a usage chunk in it.

    A stream is replayed byte for byte, but for that chunk. None: this answer cannot be told as a stream.
    """
    try:
        return _events(endpoint, entry, include_usage)
    except (UnfaithfulError, RecursionError):
        return None


def for_plain(endpoint: str, entry: Entry) -> bytes | None:
    """The JSON body for a client that asked for no stream. None: this answer cannot be told as one body.

    A body is replayed byte for byte; chunks are put together, and a response is cut out of its last event.
    """
    if entry.mode == "plain":
        return entry.chunks[0]
    try:
        if family := _FAMILIES.get(endpoint):
            return to_body(family, entry.chunks, entry.usage)
        return replay_responses.to_body(entry.chunks) if endpoint == "responses" else None
    except (UnfaithfulError, RecursionError):
        return None


def _events(endpoint: str, entry: Entry, include_usage: bool) -> list[bytes] | None:
    family = _FAMILIES.get(endpoint)
    if entry.mode == "stream":
        if family is None:
            return list(entry.chunks)
        return with_usage(family, entry.chunks, entry.usage) if include_usage else without_usage(entry.chunks)
    if family is not None:
        return to_events(family, entry.chunks[0], entry.usage, include_usage)
    return replay_responses.to_events(entry.chunks[0]) if endpoint == "responses" else None
