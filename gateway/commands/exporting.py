"""Writing out the ledger, page by page, as the admin API gives it."""

import csv
import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from gateway.commands.printing import counting

if TYPE_CHECKING:
    from gateway.commands.adminapi import AdminApi

_ROWS = "500"


def export_to(output: Path | None, api: "AdminApi", query: Mapping[str, str]) -> int:
    """Write all rows that `query` asks for to a file, or else to the standard output; how many.

    Raises ClickException where the file cannot be written.
    """
    csv_wanted = query["format"] == "csv"
    with _opened(output) as file, counting("rows") as counter:
        for number, body in enumerate(_pages(api, query)):
            counter.add(_rows_of(body) - 1 if csv_wanted else body.count(b"\n"))
            # Each page of CSV has its header; a file has one.
            file.write(body.partition(b"\r\n")[2] if csv_wanted and number else body)
    return counter.count


def _pages(api: "AdminApi", query: Mapping[str, str]) -> Iterator[bytes]:
    cursor: dict[str, str] = {}
    while True:
        page = api.page("ledger", query={**query, "order": "oldest", "limit": _ROWS, **cursor})
        yield page.body
        if not page.next:
            return
        cursor = {"cursor": page.next}


def _rows_of(body: bytes) -> int:
    return sum(1 for _ in csv.reader(io.StringIO(body.decode(), newline="")))


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """A file of that name is there, and whole, or is as it was."""
    if output is None:
        yield sys.stdout.buffer
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(output)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise click.ClickException(f"{output} cannot be written: {reason}.") from None
    finally:
        part.unlink(missing_ok=True)
