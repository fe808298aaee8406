"""How commands print: tables for people, JSON for machines."""

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

_CENTS = 2


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(
    columns: Sequence[str], items: Sequence[Mapping[str, Any]], numbers: Collection[str] = ()
) -> None:
    """An item a line, its fields named by the columns, which are as wide as their widest cell.

    The columns that are `numbers` end at their right edge.
    """
    right = [name in numbers for name in columns]
    rows = [[_plain(cell(item.get(name))) for name in columns] for item in items]
    cells = [[name.upper() for name in columns], *rows]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]
    for row in cells:
        aligned = zip(row, widths, right, strict=True)
        line = "  ".join(text.rjust(width) if end else text.ljust(width) for text, width, end in aligned)
        click.echo(line.rstrip())


def print_fields(fields: Mapping[str, Any]) -> None:
    """One field a line, names aligned; what is empty is left out."""
    shown = {name: cell(value) for name, value in fields.items() if value not in (None, [], {}, "")}
    width = max(map(len, shown), default=0)
    for name, text in shown.items():
        click.echo(f"{_plain(name).ljust(width)}  {_plain(text)}")


def cell(value: Any) -> str:
    """A JSON value in a few words: lists with commas, limits as they were written."""
    if isinstance(value, list):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, dict):
        limit, mode = value.get("limit"), value.get("mode")
        if limit:
            return f"{limit} ({mode})" if mode else cell(limit)
        return ", ".join(f"{k}={cell(v)}" for k, v in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def amounts(nano: Sequence[int]) -> list[str]:
    """A column of nano-dollars as dollars, exact, with as many decimals as any of them needs."""
    from gateway.policy.money import dollars

    texts = [dollars(each).partition(".") for each in nano]
    decimals = max((len(fraction) for _, _, fraction in texts), default=0)
    return [f"{_signed(whole)}.{fraction.ljust(max(decimals, _CENTS), '0')}" for whole, _, fraction in texts]


def _signed(whole: str) -> str:
    digits = f"${int(whole.removeprefix('-')):,}"
    return f"-{digits}" if whole.startswith("-") else digits


@contextmanager
def counting(what: str) -> Iterator["Counter"]:
    """Count something slow, for those who watch: on the standard error, while that is a terminal."""
    counter = Counter(what)
    try:
        yield counter
    finally:
        counter.wipe()


class Counter:
    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = sys.stderr.isatty()
        self.count = 0

    def add(self, more: int) -> None:
        self.count += more
        if self._shown:
            click.echo(f"\r{self.count:,} {self._what}", err=True, nl=False)

    def wipe(self) -> None:
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)


def _plain(text: str) -> str:
    """A name can neither move the cursor nor break the line."""
    return "".join(char if char.isprintable() else "?" for char in text)
