"""Whether rows are the chain that they say they are."""

from collections.abc import Iterable

from gateway.policy.chain import link
from gateway.policy.ledger import decode
from gateway.store.base import Kept

Broken = tuple[int, str]


class Verifier:
    """Fed rows in their order, in as many pieces as one likes; stops at the first that is wrong.

    Row 1 follows none. A chain that begins later is taken at its word for the row before its first, which
    nobody can see any more: `first` says where it began. `broken` is the number of a row and what is wrong.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.first: int | None = None
        self.last: Kept | None = None
        self.broken: Broken | None = None

    @property
    def ok(self) -> bool:
        return self.broken is None

    @property
    def head(self) -> str:
        """The hash of the last row that was right; "" before the first."""
        return self.last.hash if self.last else ""

    def feed(self, rows: Iterable[Kept]) -> None:
        for kept in rows:
            if self.broken is not None:
                return
            self.broken = self._wrong(kept)
            if self.broken is None:
                self._accept(kept)

    def _accept(self, kept: Kept) -> None:
        self.first = kept.number if self.first is None else self.first
        self.last = kept
        self.rows += 1

    def _wrong(self, kept: Kept) -> Broken | None:
        number = kept.number
        expected = self.last.number + 1 if self.last else max(number, 1)
        if number > expected:
            return expected, _missing(expected, number - 1)
        if number < expected:
            return number, f"row {number} comes after row {expected - 1}"
        if not self._follows(kept):
            return number, "its hash does not fit its text and the row before it"
        try:
            decode(kept.row)
        except ValueError:
            return number, "it is no row that can be read"
        return None

    def _follows(self, kept: Kept) -> bool:
        if self.last is None and kept.number > 1:
            return True
        return link(self.head, kept.number, kept.row) == kept.hash

    def __repr__(self) -> str:
        return f"<Verifier {self.rows} rows, {'ok' if self.ok else f'broken at {self.broken}'}>"


def _missing(first: int, last: int) -> str:
    return "it is missing" if first == last else f"the rows up to {last} are missing"
