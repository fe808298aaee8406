"""The objects that an answer brings into being: their owner is whoever asked.

Read from what passes, plain or in events: its own `id`, and the few members by which an answer says that
something else was made on the way (a batch's output files, the container of a code interpreter).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway.policy.endpoints import Endpoint
from gateway.policy.facts import Facts
from gateway.policy.inside import OPAQUE
from gateway.policy.jsonbytes import parse
from gateway.policy.ownership import OWNED, Named, stays
from gateway.policy.sse import Splitter

# First segment of a path → member → kind: what is made on the way, wherever in an answer it stands. None of
# these can be what a client put there: that was checked when it was sent, or is opaque.
_ON_THE_WAY: Final[Mapping[str, Mapping[str, str]]] = {
    "responses": {"container_id": "container"},
    "conversations": {"container_id": "container"},
    "batches": {"output_file_id": "file", "error_file_id": "file"},
    "fine_tuning": {"result_files": "file", "fine_tuned_model": "model"},
    "uploads": {"file": "file"},
    "assistants": {"vector_store_ids": "vector_store"},
    "threads": {"thread_id": "thread", "vector_store_ids": "vector_store", "file_id": "file"},
    "chat": {"audio": "audio"},
}
# The answer of these is something else than what they made, and names it.
_NAMES_IT: Final = frozenset({"/threads/runs", "/uploads/{upload_id}/complete"})

_LOCATION: Final = re.compile(r"/realtime/calls/([\w\-]{1,128})/?(?:\?.*)?$")
_DATA: Final = re.compile(rb"^data:[ \t]?(.*)$", re.MULTILINE)


class _Object(msgspec.Struct):
    id: Any = None


class _Event(msgspec.Struct):
    id: Any = None
    response: Any = None


_OBJECT: Final = msgspec.json.Decoder(_Object)
_EVENT: Final = msgspec.json.Decoder(_Event)
_ANYTHING: Final = msgspec.json.Decoder()


class Finder:
    """Reads the successful answer to one request. What it has told once, it does not tell again.

    `facts` are the request's, where its body was read.
    """

    def __init__(self, endpoint: Endpoint, facts: Facts | None) -> None:
        kind = "" if endpoint.path in _NAMES_IT else endpoint.creates
        self._kind = kind if kind in OWNED and stays(endpoint, facts) else ""
        self._members = (
            {} if _silent(endpoint, facts) else _ON_THE_WAY.get(endpoint.path.split("/", 2)[1], {})
        )
        self._names = tuple(b'"%b"' % name.encode() for name in self._members)
        self._location = endpoint.path == "/realtime/calls"
        self._told: set[Named] = set()
        self._splitter = Splitter()

    @property
    def idle(self) -> bool:
        """There is nothing to look for."""
        return not (self._kind or self._members)

    def answer(self, body: bytes, headers: Mapping[str, str]) -> tuple[Named, ...]:
        """What a plain answer tells. `headers` ignores case, or has lower-case names."""
        found = list(self._elsewhere(body))
        if self._location and (match := _LOCATION.search(headers.get("location", ""))):
            found.append(Named("call", match[1]))
        elif self._kind and (answer := parse(_OBJECT, body)) is not None:
            found += _of_kind(self._kind, answer.id)
        return self._new(found)

    def feed(self, data: bytes) -> tuple[Named, ...]:
        """The same of a stream whose bytes come as they come: what the events tell that end in these."""
        return tuple(each for event in self._splitter.feed(data) for each in self.event(event))

    def event(self, event: bytes) -> tuple[Named, ...]:
        """What one event of a stream tells. An event that tells nothing costs a search or two."""
        if not self._kind and not any(name in event for name in self._names):
            return ()
        data = b"\n".join(_DATA.findall(event.replace(b"\r", b"")))
        found = list(self._elsewhere(data))
        if self._kind and (message := parse(_EVENT, data)) is not None:
            inner = message.response if isinstance(message.response, dict) else {}
            found += _of_kind(self._kind, inner.get("id") or message.id)
            if found:
                self._kind = ""  # it says so again in every event
        return self._new(found)

    def _elsewhere(self, body: bytes) -> Iterator[Named]:
        if any(name in body for name in self._names):
            yield from _within(parse(_ANYTHING, body), self._members)

    def _new(self, found: list[Named]) -> tuple[Named, ...]:
        new = tuple(dict.fromkeys(each for each in found if each not in self._told))
        self._told.update(new)
        return new


def found(
    endpoint: Endpoint, facts: Facts | None, body: bytes, headers: Mapping[str, str]
) -> tuple[Named, ...]:
    """What this plain, successful answer brought into being."""
    return Finder(endpoint, facts).answer(body, headers)


def _silent(endpoint: Endpoint, facts: Facts | None) -> bool:
    """Nothing is spoken in a chat that does not ask for it."""
    return endpoint.path == "/chat/completions" and facts is not None and not facts.audio


def _of_kind(kind: str, id: Any) -> list[Named]:
    return [Named(kind, id)] if isinstance(id, str) and id else []


def _within(value: Any, members: Mapping[str, str]) -> Iterator[Named]:
    if isinstance(value, list):
        for item in value:
            yield from _within(item, members)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in OPAQUE:
                continue
            if name in members:
                yield from _ids(members[name], inner)
            yield from _within(inner, members)


def _ids(kind: str, value: Any) -> Iterator[Named]:
    """One id, several, or the object itself."""
    for each in value if isinstance(value, list) else [value]:
        yield from _of_kind(kind, each.get("id") if isinstance(each, dict) else each)
