"""Where a row stands in the ledger: `1790000000000-0`, an id of a Redis stream. Sorts by its numbers."""

import re

_POSITION = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")  # within the 64 bits of a database's integers


def parse(position: str) -> tuple[int, int]:
    """Milliseconds and the count within them. Raises ValueError."""
    match = _POSITION.fullmatch(position)
    if match is None:
        raise ValueError("this is no position in the ledger: it would look like 1790000000000-0")
    return int(match[1]), int(match[2])


def render(milliseconds: int, count: int) -> str:
    return f"{milliseconds}-{count}"


def following(position: str) -> str:
    """The next position that there may be."""
    milliseconds, count = parse(position)
    return render(milliseconds, count + 1)
