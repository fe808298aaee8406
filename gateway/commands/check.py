"""`gateway check`: every complaint about a configuration, and nothing started."""

import os
import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path), help="The file.  [default: gateway.toml, if there]"
)
def check(config: Path | None) -> None:
    """Say everything that is wrong with the configuration.

    The environment counts too, as it does for `serve`. Exit code 0: nothing is wrong; 1: something is.
    """
    from gateway.config import complaints, find

    path = find(config)
    found = complaints(path, os.environ)
    for complaint in found:
        click.echo(complaint)
    if found:
        sys.exit(1)
    click.echo(f"{path or 'The environment'}: nothing to complain about.")
