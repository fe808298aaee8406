"""Which rows of the ledger are asked for."""

from dataclasses import dataclass

from gateway.policy.ledger import Row, decode


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is given must hold. `model` is what the client asked for; `tag` is `name=value`.

    `since` and `until` are ms since the epoch: from the first on, and before the second.
    """

    key: str | None = None
    team: str | None = None
    model: str | None = None
    since: int | None = None
    until: int | None = None
    tag: str | None = None

    def matches(self, text: bytes) -> bool:
        """Whether a row, as it is stored, is one of these. What cannot be read is only among all rows."""
        if self == EVERYTHING:
            return True
        try:
            row = decode(text)
        except ValueError:
            return False
        return self._allows(row)

    def _allows(self, row: Row) -> bool:
        named = ((self.key, row.key), (self.team, row.team), (self.model, row.model))
        return (
            all(wanted is None or wanted == there for wanted, there in named)
            and (self.since is None or row.time >= self.since)
            and (self.until is None or row.time < self.until)
            and (self.tag is None or self.tag_parts in row.tags.items())
        )

    @property
    def tag_parts(self) -> tuple[str, str]:
        """Name and value of the tag; a tag without `=` has an empty value."""
        name, _, value = (self.tag or "").partition("=")
        return name, value


EVERYTHING = Filter()
