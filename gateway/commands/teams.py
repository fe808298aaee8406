"""`gateway teams`: limits and permissions that several keys share."""

from typing import TYPE_CHECKING, Any

import click

from gateway.commands.options import admin_command
from gateway.commands.printing import print_fields, print_json, print_table

if TYPE_CHECKING:
    from gateway.commands.adminapi import AdminApi


@click.group()
def teams() -> None:
    """Teams: create, list, show, delete."""


@teams.command()
@click.argument("name")
@click.option("--limit", "limits", multiple=True, help="Such as '100k tokens/minute'. May be repeated.")
@click.option(
    "--model", "models", multiple=True, help="A model or a pattern, such as 'gpt-*'. May be repeated."
)
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    help="A group of operations, such as 'files': these alone are open to it. May be repeated.",
)
@admin_command
def create(api: "AdminApi", as_json: bool, **given: Any) -> None:
    """Make a team."""
    body = {name: value for name, value in given.items() if value or name == "name"}
    made = api.call("POST", "teams", body=body)
    if as_json:
        print_json(made)
        return
    click.echo(f"The team {given['name']} is made. Its keys: gateway keys create NAME --team {given['name']}")


@teams.command("list")
@admin_command
def list_(api: "AdminApi", as_json: bool) -> None:
    """List the teams."""
    answer = api.call("GET", "teams")
    if as_json:
        print_json(answer)
        return
    print_table(("name", "limits", "models", "endpoints"), answer["data"])


@teams.command()
@click.argument("name")
@admin_command
def show(api: "AdminApi", as_json: bool, name: str) -> None:
    """Show one team."""
    team = api.call("GET", "teams", name)
    if as_json:
        print_json(team)
        return
    print_fields(team)


@teams.command()
@click.argument("name")
@admin_command
def delete(api: "AdminApi", as_json: bool, name: str) -> None:
    """Delete a team."""
    answer = api.call("DELETE", "teams", name)
    if as_json:
        print_json(answer)
        return
    click.echo(f"The team {name} is deleted.")
