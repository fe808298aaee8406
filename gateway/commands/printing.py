"""How commands print: tables for people, JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], items: Sequence[Mapping[str, Any]]) -> None:
    """An item a line, its fields named by the columns, which are as wide as their widest cell."""
    rows = [[_plain(cell(item.get(name))) for name in columns] for item in items]
    cells = [[name.upper() for name in columns], *rows]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]
    for row in cells:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
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


def _plain(text: str) -> str:
    """A name can neither move the cursor nor break the line."""
    return "".join(char if char.isprintable() else "?" for char in text)
