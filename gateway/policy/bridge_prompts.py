"""A completion of several prompts, where each has to be asked for itself: apart, and the answers together.

Choices are numbered through: with `n` choices for each prompt, those of the second begin at `n`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from gateway.policy import sse
from gateway.policy.bridge import cannot
from gateway.policy.facts import Facts
from gateway.policy.jsonbytes import parse
from gateway.policy.usage import DONE

MOST: Final = 128  # as many as there can be choices for one prompt

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


def apart(body: bytes, facts: Facts) -> list[bytes]:
    """A body for each prompt, if there are several and all are text; else none.

    `facts` are those of this very body. Raises InvalidRequest, `cannot_bridge`, for more than MOST.
    """
    start, end = facts.spans.get("prompt", (0, 0))
    items = parse(_ITEMS, body[start:end]) or []
    if len(items) < 2 or not all(bytes(item).startswith(b'"') for item in items):
        return []
    if len(items) > MOST:
        raise cannot("prompt", f"must be at most {MOST} texts")
    return [b"%b%b%b" % (body[:start], bytes(item), body[end:]) for item in items]


def choices_each(facts: Facts, prompts: int) -> int:
    """How many choices each of the prompts has."""
    return facts.n // prompts


def together(answers: Sequence[bytes], each: int) -> bytes | None:
    """The plain answers to the prompts as one; None: one of them is no completion."""
    documents = [parse(_OBJECT, answer) for answer in answers]
    whole: dict[str, Any] = {}
    choices: list[Any] = []
    for number, document in enumerate(documents):
        if document is None or not _renumbered(document, number * each):
            return None
        choices += document["choices"]
        usage = _added(whole.get("usage"), document.get("usage"))
        whole = {**document, **whole, "choices": choices, "usage": usage}
    return msgspec.json.encode(whole)


class Chunks:
    """The streams of the answers as one: events in, events out, prompt after prompt."""

    def __init__(self, prompts: int, each: int) -> None:
        self._last = prompts - 1
        self._each = each
        self._usage: Any = None

    def events(self, raw: bytes, number: int) -> Iterator[bytes]:
        """What to hand on for an event of the stream with this number, which counts from 0.

        Usage is told once, and the end is the last one's. What is no chunk stays as it is.
        """
        data = sse.data(raw)
        if data == DONE and number < self._last:
            return
        chunk = parse(_OBJECT, data)
        if chunk is None or not _renumbered(chunk, number * self._each):
            yield raw
        elif chunk["choices"] or not isinstance(chunk.get("usage"), dict):
            yield _event(chunk)
        else:
            self._usage = _added(self._usage, chunk["usage"])
            if number == self._last:
                yield _event({**chunk, "usage": self._usage})


def _renumbered(answer: dict[str, Any], first: int) -> bool:
    """Number the choices from `first`; whether it has choices."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        return False
    for choice in choices:
        index = choice.get("index", 0)
        choice["index"] = first + index if type(index) is int else index
    return True


def _added(sum_: Any, more: Any) -> Any:
    """Counts added up, member by member, however deep they stand."""
    if isinstance(sum_, dict) and isinstance(more, dict):
        return {name: _added(sum_.get(name), more.get(name)) for name in {**sum_, **more}}
    if isinstance(sum_, int | float) and isinstance(more, int | float):
        return sum_ + more
    return sum_ if more is None else more


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(chunk)
