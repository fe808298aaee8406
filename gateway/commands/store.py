"""`gateway store`: what an operator has to decide about it."""

from typing import TYPE_CHECKING

import click

from gateway.commands.options import admin_command
from gateway.commands.printing import print_fields, print_json

if TYPE_CHECKING:
    from gateway.commands.adminapi import AdminApi

_TIMEOUT = 120.0
_WARNING = """\
The store has lost its counters, or is another one than before. If there is a backup, restore that
instead.

Accepting it serves from it as it is now. Put back are the keys and teams that this gateway remembers,
and what was used of each budget, as far as the ledger's database or this gateway knows. Lost are rates,
sums of usage and cached answers.
"""


@click.group()
def store() -> None:
    """The store: accept one that came back empty."""


@store.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--without-keys", is_flag=True, help="Even where no keys can be put back.")
@admin_command
def accept(api: "AdminApi", as_json: bool, yes: bool, without_keys: bool) -> None:
    """Serve from a store that came back empty.

    Until this is said, whatever needs a budget is refused: nobody gets a fresh one by accident.
    """
    if not yes:
        click.echo(_WARNING, err=True)
        click.confirm("Accept the store as it is?", abort=True, err=True)
    answer = api.call("POST", "store", "accept", body={"without_keys": without_keys}, timeout=_TIMEOUT)
    if as_json:
        print_json(answer)
        return
    click.echo("The store is accepted. Put back:")
    print_fields({name: answer[name] for name in ("keys", "teams", "budgets", "source", "rows")})
