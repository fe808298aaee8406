"""`gateway keys`: the clients of the gateway."""

from typing import TYPE_CHECKING, Any

import click

from gateway.commands.options import admin_command
from gateway.commands.printing import print_fields, print_json, print_table

if TYPE_CHECKING:
    from gateway.commands.adminapi import AdminApi

_COLUMNS = ("id", "name", "team", "limits", "models", "endpoints", "ownership", "expires")


@click.group()
def keys() -> None:
    """Client keys: create, list, show, revoke."""


@keys.command()
@click.argument("name")
@click.option("--team", help="The team that the key belongs to.")
@click.option("--limit", "limits", multiple=True, help="Such as '60 requests/minute'. May be repeated.")
@click.option(
    "--model", "models", multiple=True, help="A model or a pattern, such as 'gpt-*'. May be repeated."
)
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    help="A group of operations, such as 'files': these alone are open to it. May be repeated.",
)
@click.option("--expires", help="When it ends, such as 2030-12-31.")
@click.option(
    "--ownership",
    type=click.Choice(["on", "off"]),
    help="Whether it sees only what it, or its team, has made. Without it: as the configuration says.",
)
@admin_command
def create(api: "AdminApi", as_json: bool, **given: Any) -> None:
    """Make a key and show it, this once."""
    body = {name: value for name, value in given.items() if value or name == "name"}
    made = api.call("POST", "keys", body=body)
    if as_json:
        print_json(made)
        return
    click.echo(made["key"])
    click.echo(f"The key of {given['name']} (id {made['id']}). It is shown this once: keep it now.", err=True)


@keys.command("list")
@admin_command
def list_(api: "AdminApi", as_json: bool) -> None:
    """List the keys, without their secrets."""
    answer = api.call("GET", "keys")
    if as_json:
        print_json(answer)
        return
    print_table(_COLUMNS, answer["data"])


@keys.command()
@click.argument("key_id", metavar="ID")
@admin_command
def show(api: "AdminApi", as_json: bool, key_id: str) -> None:
    """Show one key, without its secret."""
    key = call_about(api, "GET", key_id)
    if as_json:
        print_json(key)
        return
    print_fields(key)


@keys.command()
@click.argument("key_id", metavar="ID")
@admin_command
def revoke(api: "AdminApi", as_json: bool, key_id: str) -> None:
    """Refuse a key from now on, for ever."""
    answer = call_about(api, "DELETE", key_id)
    if as_json:
        print_json(answer)
        return
    click.echo(f"The key {key_id} is revoked.")


def call_about(api: "AdminApi", method: str, key_id: str, calls: str = "keys") -> Any:
    """The call about one key: `/admin/v1/<calls>/<id>`.

    People try its name, and the key itself: they are told the id.
    """
    from gateway.commands.adminapi import NotFound
    from gateway.policy.credentials import public_id

    if meant := public_id(key_id):
        raise click.UsageError(f"that is a key, and a key is shown to nobody. Its id is {meant}.")
    try:
        return api.call(method, calls, key_id)
    except NotFound:
        named = [key["id"] for key in api.call("GET", "keys")["data"] if key["name"] == key_id]
        hint = f"the key of that name has the id {', '.join(named)}." if named else "see `gateway keys list`."
        raise NotFound(f"there is no key with this id; {hint}") from None
