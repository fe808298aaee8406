"""How long answers usually are: what limits with `estimate = "learned"` hold instead of the worst case."""

from array import array
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.policy.ledger import Row

ENOUGH: Final = 30  # answers, before anything is said to be usual
GENERATION: Final = 1_000  # answers; the latest one to two generations count
DAY_MS: Final = 86_400_000
PAIRS: Final = 10_000  # of client, endpoint and model: a kilobyte each
QUANTILE: Final = (99, 100)

# Each doubling of the length has eight buckets: an edge is at most an eighth above what fell in under it.
_FINE: Final = 8
_MOST: Final = 2**30  # tokens


def bucket_of(tokens: int) -> int:
    """Which bucket a length falls in; up to 16 tokens each length has its own."""
    shift = max(0, min(tokens, _MOST).bit_length() - _FINE.bit_length())
    return shift * _FINE + (min(tokens, _MOST) >> shift)


def edge_of(bucket: int) -> int:
    """The greatest length in a bucket."""
    shift = max(0, bucket // _FINE - 1)
    return ((bucket - shift * _FINE + 1) << shift) - 1


_BUCKETS: Final = bucket_of(_MOST) + 1


def _empty() -> "array[int]":
    return array("H", bytes(2 * _BUCKETS))


@dataclass(slots=True)
class Lengths:
    """The lengths of the latest answers of one sort: of this generation and of the one before.

    A generation ends after so many answers, or after a day if it has enough: what was usual fades, and a
    quiet week forgets nothing.
    """

    since: int
    count: int = 0
    before: int = 0
    _now: "array[int]" = field(default_factory=_empty)
    _then: "array[int]" = field(default_factory=_empty)
    _known: int | None = None

    def add(self, tokens: int, now: int) -> None:
        if self.count >= GENERATION or (self.count >= ENOUGH and now - self.since >= DAY_MS):
            self._then, self._now = self._now, _empty()
            self.before, self.count, self.since = self.count, 0, now
        self._now[bucket_of(tokens)] += 1
        self.count += 1
        self._known = None

    @property
    def usual(self) -> int | None:
        """What 99 of 100 of them did not pass, rounded up to the edge of its bucket. None: too few."""
        total = self.count + self.before
        if total < ENOUGH:
            return None
        if self._known is None:
            least = -(-total * QUANTILE[0] // QUANTILE[1])
            self._known = self._at(least)
        return self._known

    def _at(self, rank: int) -> int:
        seen = 0
        for bucket, (now, then) in enumerate(zip(self._now, self._then, strict=True)):
            seen += now + then
            if seen >= rank:
                return edge_of(bucket)
        raise ValueError("there are not so many")


class Learned:
    """What is usual for each client, endpoint and model. Each process learns for itself.

    `pairs` is how many are remembered; those that had no answer for longest are forgotten.
    """

    def __init__(self, pairs: int = PAIRS) -> None:
        self._pairs = pairs
        self._lengths: OrderedDict[tuple[str, str, str], Lengths] = OrderedDict()

    def observe(self, client: str, endpoint: str, model: str, tokens: int, now: int) -> None:
        """One choice of a whole answer had so many output tokens (`now` in ms).

        To be told only of requests without a bound: what was cut off does not say how long it would be.
        """
        key = (client, endpoint, model)
        lengths = self._lengths.get(key)
        if lengths is None:
            lengths = self._lengths[key] = Lengths(now)
            if len(self._lengths) > self._pairs:
                self._lengths.popitem(last=False)
        self._lengths.move_to_end(key)
        lengths.add(tokens, now)

    def expect(self, client: str, endpoint: str, model: str) -> int | None:
        """The tokens that 99 of 100 choices do not pass; None until there were enough answers."""
        lengths = self._lengths.get((client, endpoint, model))
        return None if lengths is None else lengths.usual

    def warm(self, rows: Iterable[Row]) -> None:
        """Start from the ledger's rows, oldest first: those of whole answers to requests without a bound.

        A row does not count choices: of several, the tokens of all are taken for those of one.
        """
        for row in rows:
            answered = row.status == 200 and row.settled == "usage" and not row.correction
            if answered and row.output > 0 and not row.bounded:
                self.observe(row.key, row.endpoint, row.sent or row.model or "", row.output, row.time)

    def __len__(self) -> int:
        return len(self._lengths)

    def __repr__(self) -> str:
        return f"<Learned {len(self)} sorts of requests>"
