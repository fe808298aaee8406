"""`gateway limits`: where the limits of a key stand."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.keys import call_about
from gateway.commands.options import admin_command
from gateway.commands.printing import amounts, print_json, print_table

if TYPE_CHECKING:
    from gateway.commands.adminapi import AdminApi

_NANO = 10**9


@click.group()
def limits() -> None:
    """Limits: show."""


@limits.command()
@click.argument("key_id", metavar="ID")
@admin_command
def show(api: "AdminApi", as_json: bool, key_id: str) -> None:
    """Show where each limit stands that a key meets: its own, its team's, the gateway's.

    What is used includes what requests under way have reserved.
    """
    answer = call_about(api, "GET", key_id, "limits")
    if as_json:
        print_json(answer)
        return
    columns = ("limit", "scope", "mode", "used", "left", "resets at")
    print_table(columns, [_line(limit) for limit in answer["limits"]], ("used", "left"))


def _line(limit: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: _amount(limit[name], limit["unit"]) for name in ("used", "left")}
    return {**limit, **shown, "resets at": limit["resets_at"] or "-"}


def _amount(amount: float, unit: str) -> str:
    # A number of JSON is exact to the nano-dollar up to nine million dollars.
    return amounts([round(amount * _NANO)])[0] if unit == "dollars" else f"{amount:,}"
