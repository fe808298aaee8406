"""Lists of which a client sees its own items alone: the others are cut out, and every other byte stays.

OpenAI's libraries turn pages by the last item that they were given (`after=`) as long as `has_more` is true,
and stop at a page without any. So a page of which nothing is left is no answer while there is more: whoever
asks for it reads on (`Page.more`), and answers with the first page that has something, or with the last.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote_plus

import msgspec

from gateway.errors import InvalidRequest
from gateway.policy.jsonbytes import parse
from gateway.policy.members import Span, members

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Item(msgspec.Struct):
    id: Any = None


_ITEM: Final = msgspec.json.Decoder(_Item)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, as the upstream has sent it. `ids` are those of its items; None: it has none."""

    body: bytes
    ids: tuple[str | None, ...]
    spans: tuple[Span, ...]
    members: dict[str, Span]

    @property
    def has_more(self) -> bool:
        return self._text("has_more") == b"true"

    def of(self, mine: Collection[str], hide: Callable[[str], str]) -> bytes:
        """The page with these items alone. What is not known by its id is nobody's.

        `first_id` and `last_id` name items that are left; where none is, they are null, or, if there is more,
        what `hide` makes of the ids at the page's ends: whoever turns pages by them can then go on.
        """
        kept = [number for number, each in enumerate(self.ids) if each in mine]
        if len(kept) == len(self.ids):
            return self.body
        changes = [(self._data(), self._without(kept))]
        for name, at in (("first_id", 0), ("last_id", -1)):
            if name in self.members:
                shown = self.ids[kept[at]] if kept else self._hidden(at, hide)
                changes.append((self.members[name], json.dumps(shown).encode()))
        body = self.body
        for (start, end), value in sorted(changes, reverse=True):
            body = body[:start] + value + body[end:]
        return body

    def _hidden(self, at: int, hide: Callable[[str], str]) -> str | None:
        end = self.ids[at] if self.has_more and self.ids else None
        return None if end is None else hide(end)

    def more(self, *, backwards: bool = False) -> str | None:
        """The item after which (before which) the next page begins. None: there is no next page."""
        if not self.has_more or not self.ids:
            return None
        return self.ids[0 if backwards else -1]

    def _text(self, name: str) -> bytes:
        start, end = self.members.get(name, (0, 0))
        return self.body[start:end]

    def _data(self) -> Span:
        return self.members["data"]

    def _without(self, kept: list[int]) -> bytes:
        """The array, each item that is left with the white space that stood before it."""
        start, end = self._data()
        ends = [start + 1, *(span[1] for span in self.spans)]
        items = []
        for number in kept:
            first, last = self.spans[number]
            items.append(self.body[ends[number] : first].replace(b",", b"") + self.body[first:last])
        return b"[" + b",".join(items) + self.body[ends[-1] : end]


def read(body: bytes) -> Page | None:
    """The page in an answer. None: it is no list, and what is in it cannot be told."""
    try:
        spans = members(body)
    except InvalidRequest:
        return None
    start, end = spans.get("data", (0, 0))
    items = parse(_ITEMS, body[start:end])
    if items is None:
        return None
    ids, places, at = [], [], start + 1
    for item in items:
        raw = bytes(item)
        first = _space(body, at)
        at = first + len(raw)
        places.append((first, at))
        ids.append(_id(raw))
        at = _space(body, at) + 1  # the comma, or the bracket
    return Page(body, tuple(ids), tuple(places), spans)


def turned(query: str, id: str, *, backwards: bool = False) -> str:
    """The query of a list's next page: as it came, but that it begins after (before) this item."""
    name = "before" if backwards else "after"
    parts = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) != name]
    return "&".join([*parts, f"{name}={quote(id, safe='')}"])


def backwards(query: str) -> bool:
    """Whether this query turns pages towards the beginning."""
    names = {unquote_plus(part.partition("=")[0]) for part in query.split("&")}
    return "before" in names and "after" not in names


def _space(body: bytes, at: int) -> int:
    while body[at : at + 1] in (b" ", b"\t", b"\n", b"\r"):
        at += 1
    return at


def _id(raw: bytes) -> str | None:
    item = parse(_ITEM, raw)
    return item.id if item is not None and isinstance(item.id, str) else None
