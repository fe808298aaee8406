"""`gateway ledger`: the rows of all requests, verified and exported."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.options import admin_command, api_command
from gateway.commands.printing import print_fields, print_json

if TYPE_CHECKING:
    from gateway.commands.adminapi import AdminApi

_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{40})")


@click.group()
def ledger() -> None:
    """The ledger: verify, export."""


@ledger.command()
@click.option(
    "--expect", metavar="NUMBER:HASH", help="The head of an earlier time: that row must still be there."
)
@admin_command
def verify(api: "AdminApi", as_json: bool, expect: str | None) -> None:
    """Check that no row was changed, taken out or put in.

    Prints the number and the hash of the last row. Keep them elsewhere: with --expect they show later that
    the whole ledger was not written anew. Exit code 1: the chain is broken.
    """
    from gateway.commands.verification import walk

    found = walk(api, _expected(expect))
    if as_json:
        print_json(found)
    else:
        _print(found)
    if found["broken"] is not None:
        sys.exit(1)


def _expected(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    match = _HEAD.fullmatch(text)
    if match is None:
        raise click.UsageError("--expect is a number, a colon and a hash, as `gateway ledger verify` prints.")
    return int(match[1]), match[2]


def _print(found: dict[str, Any]) -> None:
    broken = found["broken"]
    if broken is not None:
        click.echo(f"The ledger is broken at row {broken['number']}: {broken['reason']}.")
    elif found["last"] is None:
        click.echo("The ledger is empty.")
    else:
        click.echo("The ledger is whole.")
    shown = {name: found[name] for name in ("rows", "first", "last")}
    print_fields(shown | {"head": f"{found['last']}:{found['hash']}" if found["hash"] else None})
    if found["first"] is not None and found["first"] > 1:
        click.echo(f"The rows before number {found['first']} were let go, or are lost.", err=True)


@ledger.command()
@click.option("--format", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--from", "from_", metavar="DAY", help="The first day, such as 2026-11-01.")
@click.option("--to", metavar="DAY", help="The last day.")
@click.option("--key", metavar="ID", help="Rows of one key.")
@click.option("--team", help="Rows of one team.")
@click.option("--model", help="Rows of one model, as it was asked for.")
@click.option("--tag", metavar="NAME=VALUE", help="Rows with one tag.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of the output."
)
@api_command
def export(api: "AdminApi", output: Path | None, from_: str | None, **given: Any) -> None:
    """Write out rows, the oldest first.

    A file is there when all of it is there.
    """
    from gateway.commands.exporting import export_to

    query = {name: value for name, value in {"from": from_, **given}.items() if value}
    rows = export_to(output, api, query)
    if output is not None:
        click.echo(f"{rows:,} rows are in {output}.", err=True)
