"""`gateway chat`: a chat in the terminal, through the gateway."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.commands.conversation import Conversation

BASE_URL = "http://127.0.0.1:8080/v1"


@click.command()
@click.option("--model", help="The model to talk to.  [default: what the gateway serves]")
@click.option(
    "--base-url",
    envvar="GATEWAY_BASE_URL",
    show_default=f"that of `gateway login`, or {BASE_URL}",
    help="The gateway's address.",
)
def chat(model: str | None, base_url: str | None) -> None:
    """Chat with a model through the gateway.

    The key is GATEWAY_API_KEY, or what `gateway login` keeps. End with /exit or Ctrl-D. When the input is a
    pipe, each line of it is a question, and the answers alone go to the standard output.
    """
    from gateway.commands.conversation import Conversation, default_model

    address, key = _gateway(base_url.strip().rstrip("/") if base_url else "")
    conversation = Conversation(address, key, model or default_model(address, key))
    click.secho(f"Talking to {conversation.model}. /exit ends.", dim=True, err=True)
    failures = sum(not _answer(conversation, question) for question in _questions())
    sys.exit(1 if failures and not sys.stdin.isatty() else 0)


def _gateway(address: str) -> tuple[str, str]:
    """Its address (empty: nobody has named it) and a key; a kept one goes to its own gateway alone."""
    from openai_secret_manager import SecretNotFound
    from openai_secret_manager.login import kept, kept_address

    key = os.environ.get("GATEWAY_API_KEY", "").strip()
    try:
        if key:
            return address or kept_address() or BASE_URL, key
        login = kept()
    except SecretNotFound as error:
        raise click.ClickException(f"{error}.") from None
    if login is None:
        raise click.UsageError(
            "there is no key. Run `gateway login`, or set GATEWAY_API_KEY to a client key: the one of the "
            "first start, or a new one from `gateway keys create NAME`."
        )
    if address not in ("", login.api_base):
        raise click.UsageError(
            f"the key that is kept is for {login.api_base}. Run `gateway login`, or set GATEWAY_API_KEY."
        )
    return login.api_base, login.api_key


def _answer(conversation: "Conversation", question: str) -> bool:
    """Ask, print the answer as it comes, and say where it came from."""
    try:
        for text in conversation.ask(question):
            click.echo(text, nl=False)
        click.echo()
        click.secho(conversation.origin, dim=True, err=True)
    except KeyboardInterrupt:
        click.secho("\n(stopped)", dim=True, err=True)
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        return False
    return True


def _questions() -> Iterator[str]:
    """What the user types, or the lines of a pipe, until /exit or the end."""
    while True:
        try:
            line = _prompt() if sys.stdin.isatty() else sys.stdin.readline()
        except (EOFError, KeyboardInterrupt):
            click.echo(err=True)
            return
        if not line or line.strip() == "/exit":
            return
        if line.strip():
            yield line.strip()


def _prompt() -> str:
    import readline  # noqa: F401  # `input` then has a history and arrow keys

    return input("> ") + "\n"
