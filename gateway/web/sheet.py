"""Rows as CSV (RFC 4180), safe to open in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"  # RFC 7111

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
# Spreadsheets take a text that begins so for a formula (OWASP, CSV injection). The apostrophe is the mark
# itself, so that taking one away always gives the text that was meant.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def csv_of(columns: Sequence[str], items: Iterable[Mapping[str, Any]]) -> bytes:
    """A header row, then an item a row. A text that could be a formula gets an apostrophe in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([cell(item.get(name)) for name in columns] for item in items)
    return text.getvalue().encode()


def cell(value: Any) -> str:
    """Nothing for None; lists and objects as JSON."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
