"""`gateway usage`: who used what, and what it cost."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.options import admin_command
from gateway.commands.printing import amounts, print_json, print_table

if TYPE_CHECKING:
    from gateway.commands.adminapi import AdminApi

_COUNTS = ("requests", "input", "output", "cached", "hits", "errors")
_MONEY = ("cost", "saved")
_NUMBERS = ("requests", "input", "output", "cached", "cost", "saved", "hits", "errors")


@click.command()
@click.option("--from", "from_", metavar="DAY", help="The first day, such as 2026-11-01.  [default: month]")
@click.option("--to", metavar="DAY", help="The last day.  [default: today]")
@click.option(
    "--by", default="key", metavar="key|team|model|day|tag", help="Or several: team,model.  [default: key]"
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@admin_command
def usage(api: "AdminApi", as_json: bool, as_csv: bool, from_: str | None, to: str | None, by: str) -> None:
    """Show requests, tokens and cost, this month or from one day to another.

    Days are those of the gateway's time zone. A request counts under each of its tags.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    given = {"from": from_, "to": to, "group_by": by}
    query = {name: value for name, value in given.items() if value}
    if as_csv:
        click.echo(api.page("usage", query=query | {"format": "csv"}).body, nl=False)
        return
    report = api.call("GET", "usage", query=query)
    if as_json:
        print_json(report)
        return
    _print(report)


def _print(report: Mapping[str, Any]) -> None:
    groups = [column for group in report["group_by"] for column in _columns(group)]
    lines = [*report["data"], report["total"]]
    cells = [_counts(line) | money for line, money in zip(lines, _money(lines), strict=True)]
    shown = [{name: line.get(name) or "-" for name in groups} for line in report["data"]]
    shown.append(dict.fromkeys(groups, "") | {groups[0]: "TOTAL"})
    items = [named | numbers for named, numbers in zip(shown, cells, strict=True)]
    print_table((*groups, *_NUMBERS), items, _NUMBERS)
    unpriced = report["total"]["unpriced"]
    if unpriced:
        click.echo(f"The price of {unpriced:,} requests is not known: COST is without them.", err=True)


def _columns(group: str) -> tuple[str, ...]:
    return ("key", "name") if group == "key" else (group,)


def _counts(line: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{line.get(name, line.get(f'{name}_tokens', 0)):,}" for name in _COUNTS}


def _money(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    columns = [amounts([line[f"{name}_nano"] for line in lines]) for name in _MONEY]
    return [dict(zip(_MONEY, texts, strict=True)) for texts in zip(*columns, strict=True)]
