"""The measured parts of docs/performance.md: what stands between two marks is written anew by each run."""

import datetime
from pathlib import Path

from bench.processes import ROOT

PAGE = ROOT / "docs" / "performance.md"


def marks(target: str) -> tuple[str, str]:
    """Around what that target of the Makefile writes."""
    return f"<!-- measured by make {target}: begin -->", f"<!-- measured by make {target}: end -->"


def dated(text: str, target: str, version: str, day: datetime.date) -> str:
    """Under a line that says when it was measured, and of what."""
    return f"Version {version}, measured on {day.isoformat()} by `make {target}`.\n\n{text}"


def with_measured(page: str, target: str, text: str) -> str:
    """The page with `text` between its marks. Raises ValueError where it has not both, in their order."""
    begin, end = marks(target)
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page lacks {begin} or {end}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def write(text: str, target: str, version: str, page: Path = PAGE) -> None:
    """Today's numbers into the page. Raises OSError, or ValueError for a page without its marks."""
    told = dated(text, target, version, datetime.datetime.now(tz=datetime.UTC).date())
    page.write_text(with_measured(page.read_text(encoding="utf-8"), target, told), encoding="utf-8")
