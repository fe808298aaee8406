"""`gateway login` and `gateway logout`: the key of this client, where its programs find it."""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.chat import BASE_URL
from gateway.commands.printing import print_fields

if TYPE_CHECKING:
    from http.client import HTTPResponse

_TIMEOUT = 30.0
_ADDRESS = re.compile(r"https?://[^/?#@\s]+(/[^?#@\s]*)?/v1")


def _address(_context: click.Context, _option: click.Parameter, url: str) -> str:
    address = url.strip().rstrip("/")
    if not _ADDRESS.fullmatch(address):
        raise click.BadParameter(f"write an address that ends in /v1, such as {BASE_URL}")
    return address


def _dash(_context: click.Context, _option: click.Parameter, given: str | None) -> bool:
    if given not in (None, "-"):
        # Not quoted: it is likely a key, and the shell has kept it already.
        raise click.BadParameter(
            "a key on the command line is seen by others and kept by the shell. Write `-` and give it on the "
            "standard input, or leave the option out to be asked."
        )
    return given is not None


@click.command()
@click.option(
    "--base-url",
    envvar="GATEWAY_BASE_URL",
    default=BASE_URL,
    show_default=True,
    callback=_address,
    help="The gateway's address.",
)
@click.option(
    "--api-key", "piped", metavar="-", callback=_dash, help="Read the key from the standard input: write `-`."
)
@click.option("--no-check", is_flag=True, help="Keep the key without asking the gateway whose it is.")
@click.option("--no-keyring", is_flag=True, help="Keep the key in a file even where there is a keyring.")
def login(base_url: str, piped: bool, no_check: bool, no_keyring: bool) -> None:
    """Keep a client key for this user's programs.

    They get it from openai_secret_manager.get_secret("openai"). The key is asked for, and checked. It is kept
    in the system's keyring where the package `keyring` finds one, or else in a file that nobody else can
    read.
    """
    from openai_secret_manager.login import Login, keep

    key = _key(piped)
    owner = {} if no_check else _owner(base_url, key)
    with _failures_in_words():
        where = keep(Login(base_url, key), keyring=not no_keyring)
    shown = {"key": owner.get("name"), "id": owner.get("id"), "team": owner.get("team")}
    print_fields({"gateway": base_url, **shown, "kept in": where})
    if os.environ.get("GATEWAY_API_KEY"):
        click.echo("GATEWAY_API_KEY is set, and comes before this key.", err=True)


@click.command()
def logout() -> None:
    """Forget the key that `gateway login` keeps.

    The key goes on working for those who have it: `gateway keys revoke` is what ends it.
    """
    from openai_secret_manager.login import forget

    with _failures_in_words():
        there = forget()
    click.echo("The key is forgotten." if there else "There is no key to forget.")


@contextmanager
def _failures_in_words() -> Iterator[None]:
    from openai_secret_manager import SecretNotFound

    try:
        yield
    except SecretNotFound as error:
        raise click.ClickException(f"{error}.") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}.") from None


def _key(piped: bool) -> str:
    """The key from the standard input, or typed unseen. Raises UsageError for what can be none."""
    if not piped and not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: write `--api-key -` to give the key by a pipe.")
    key: str = sys.stdin.read() if piped else click.prompt("Client key", hide_input=True, err=True)
    key = key.strip()
    if not (key and key.isascii() and key.isprintable() and " " not in key):
        raise click.UsageError("that is no key: it is empty, or has characters in it that no key has.")
    return key


def _owner(base_url: str, key: str) -> Mapping[str, Any]:
    """What the gateway says about the key. Raises ClickException when it does not accept it."""
    from gateway.commands.http import exchange

    with exchange("GET", f"{base_url.removesuffix('/v1')}/gateway/me", key, timeout=_TIMEOUT) as response:
        if response.status != 200:
            raise click.ClickException(_refusal(response))
        text = response.read()
    try:
        owner = json.loads(text)
    except ValueError:
        owner = None
    if not isinstance(owner, dict) or "name" not in owner:
        raise click.ClickException(f"{base_url} answered as no gateway does. Is --base-url right?")
    return owner


def _refusal(response: "HTTPResponse") -> str:
    from gateway.commands.http import error_of, message_of

    code, message = error_of(response), message_of(response)
    if code == "invalid_api_key":
        return "the gateway does not accept this key: it is wrong, revoked or expired. It is not kept."
    if message is None or code in ("", "unknown_url"):
        return f"status {response.status}, and not as a gateway answers. Is --base-url right? It ends in /v1."
    return message
