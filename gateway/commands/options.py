"""What the admin commands have in common: where the admin API is, the key to it, and how to print."""

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gateway.commands.adminapi import AdminApi

ADMIN_URL = "http://127.0.0.1:8081"


def admin_command(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options `--admin-url` and `--json`; it receives `api` and `as_json`."""
    json_option = click.option("--json", "as_json", is_flag=True, help="Print what the admin API answers.")
    return json_option(api_command(command))


def api_command(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option `--admin-url`; it receives `api`."""

    @functools.wraps(command)
    @click.pass_context
    def wrapped(context: click.Context, /, admin_url: str | None, **given: Any) -> None:
        command(api=_api(admin_url or context.obj or ADMIN_URL), **given)

    return click.option("--admin-url", help="The admin listener, when it is not the default.")(wrapped)


def _api(url: str) -> "AdminApi":
    from gateway.commands.adminapi import AdminApi

    key = os.environ.get("GATEWAY_ADMIN_KEY", "").strip()
    if not key:
        raise click.UsageError(
            "there is no admin key. Set GATEWAY_ADMIN_KEY to the one that the gateway printed at its first "
            "start, or to the one that its configuration names."
        )
    return AdminApi(url, key)
