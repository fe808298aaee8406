"""Writes `docs/cli.md`: the help of every command, as `gateway … --help` prints it."""

from collections.abc import Iterator
from pathlib import Path

import click

from gateway.cli import main

PAGE = Path(__file__).with_name("cli.md")
_WIDTH = 90


def page() -> str:
    """The whole page."""
    return "\n".join(["# The command line", "", *_sections(main, None, "gateway")])


def _sections(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    # The width is fixed: the page is the same whatever terminal it is written in.
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = click.Context(command, parent, info_name=name, **settings)
    yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            yield from _sections(command.commands[each], context, each)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
