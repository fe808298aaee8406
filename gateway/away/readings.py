"""What the store last said of each limit, in bounded memory."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gateway.policy.records import Limit, Standing

# Beyond this many limits the longest known are forgotten.
MOST = 65_536


class Seen(NamedTuple):
    """So much was used at `at` (ms). `generation` tells which stay of the store it was said in."""

    used: int
    at: int
    generation: int


class Readings:
    """By owner and text, which name a limit among those that are enforced: hashed faster than a limit."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], tuple[int, int, int]] = OrderedDict()  # as `Seen`

    def note(self, standings: Sequence[Standing], now: int, generation: int) -> None:
        """On the path of every request."""
        for standing in standings:
            limit = standing.limit
            if not limit.shadow:
                self._seen[limit.scope, limit.text] = (standing.used, now, generation)
        while len(self._seen) > MOST:
            self._seen.popitem(last=False)

    def correct(self, limit: Limit, change: int) -> None:
        """So much more is used of it than the store said; less, where it is below zero."""
        name = limit.scope, limit.text
        if name in self._seen:
            used, at, generation = self._seen[name]
            self._seen[name] = (max(0, used + change), at, generation)

    def all(self) -> Iterator[tuple[str, str, int, int]]:
        """The owner and the text of each limit, what was used of it, and when that was said (ms)."""
        for (scope, text), (used, at, _) in self._seen.items():
            yield scope, text, used, at

    def take(self, scope: str, text: str, used: int, at: int, generation: int) -> None:
        """What was said to another process, where that is newer than what is known here."""
        known = self._seen.get((scope, text))
        if known is None or known[1] < at:
            self._seen[scope, text] = used, at, generation

    def of(self, limit: Limit) -> Seen | None:
        seen = self._seen.get((limit.scope, limit.text))
        return None if seen is None else Seen(*seen)

    def __repr__(self) -> str:
        return f"<Readings of {len(self._seen)} limits>"
