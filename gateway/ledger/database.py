"""What a sink asks of its database. Called from one thread, but for `abort`."""

from collections.abc import Sequence
from typing import Any, Protocol

from gateway.ledger.columns import Entry


class Database(Protocol):
    """Connects when it is first used, and again after it was lost.

    Every method raises SinkUnavailable, or SinkMisconfigured where trying again cannot help.
    """

    @property
    def has_tag(self) -> str:
        """The condition that a row has a tag; its two `?` are the tag's name and value."""
        ...

    def insert(self, entries: Sequence[Entry]) -> int:
        """All that are not there yet, in one transaction; how many they were."""
        ...

    def select(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Rows of plain values, as `columns.entry` makes them. Placeholders are `?`."""
        ...

    def close(self) -> None: ...

    def abort(self) -> None:
        """From any thread: what is being done fails soon."""
        ...
