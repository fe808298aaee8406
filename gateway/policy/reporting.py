"""Sums of the ledger, grouped as a report asks for them, and the days that it covers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from operator import add
from typing import Final, Literal, Protocol, get_args
from zoneinfo import ZoneInfo

from gateway.policy.ledger import SUMS, who_was

Group = Literal["key", "team", "model", "day", "tag"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)

_COST = SUMS.index("cost")
_NOTHING = (0,) * len(SUMS)


class Summed(Protocol):
    """`store.base.Sum`, which this room does not import."""

    @property
    def day(self) -> str: ...

    @property
    def who(self) -> str: ...

    @property
    def sums(self) -> tuple[int, ...]: ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a report: what it is about, in the order of the groups ("" for none), and its sums."""

    about: tuple[str, ...]
    sums: tuple[int, ...]


def parse_groups(text: str) -> tuple[Group, ...]:
    """Names with commas between them. Raises ValueError with what may be written.

    Tags stand alone: a request may have several, so its sums by tag are not parts of one whole.
    """
    groups = tuple(group for name in text.split(",") for group in GROUPS if group == name)
    if len(groups) != text.count(",") + 1 or len(set(groups)) != len(groups):
        raise ValueError(f"name one or more of {', '.join(GROUPS)}, each once, with commas between them")
    if "tag" in groups and len(groups) > 1:
        raise ValueError("tag stands alone: a request may have several tags")
    return groups


class Tally:
    """Adds up sums by `groups`; with none of them, all in one line.

    Fed part by part, so that a long report need not be read in one go.
    """

    def __init__(self, groups: Sequence[Group] = ()) -> None:
        self.groups = tuple(groups)
        self._added: dict[tuple[str, ...], tuple[int, ...]] = {}

    def add(self, items: Iterable[Summed]) -> None:
        """Grouped by tag, the items are those by tag, whose `who` is `name=value`."""
        for item in items:
            about = self._about(item)
            self._added[about] = _plus(self._added.get(about, _NOTHING), item.sums)

    def lines(self) -> list[Line]:
        """Days ascending, then what cost most, then by name."""
        lines = [Line(about, sums) for about, sums in self._added.items()]
        return sorted(lines, key=lambda line: (self._day(line), -line.sums[_COST], line.about))

    @property
    def total(self) -> tuple[int, ...]:
        total = _NOTHING
        for sums in self._added.values():
            total = _plus(total, sums)
        return total

    def _about(self, item: Summed) -> tuple[str, ...]:
        if self.groups == ("tag",):
            return (item.who,)
        key, team, model = who_was(item.who)
        parts = {"key": key, "team": team, "model": model, "day": item.day}
        return tuple(parts[group] for group in self.groups)

    def _day(self, line: Line) -> str:
        return line.about[self.groups.index("day")] if "day" in self.groups else ""

    def __repr__(self) -> str:
        return f"<Tally by {', '.join(self.groups) or 'nothing'}: {len(self._added)} lines>"


def _plus(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(add, one, other))


def day_of(now: int, zone: ZoneInfo) -> date:
    """The day that an instant (ms) falls on."""
    return datetime.fromtimestamp(now // 1000, UTC).astimezone(zone).date()


def days_of(first: date, last: date) -> list[str]:
    """Every day from `first` to `last`, both included, as the ledger names them: `2026-11-22`."""
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def midnight(day: date, zone: ZoneInfo) -> int:
    """The instant (ms) at which a day begins."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000
