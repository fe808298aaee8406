"""`gateway serve`: the gateway itself."""

import os
import sys
from pathlib import Path

import click

_PORT = click.IntRange(0, 65535)
# sysexits(3): EX_CONFIG. A supervisor can tell it from a crash, and need not try again.
_BAD_CONFIGURATION = 78


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path), help="The file.  [default: gateway.toml, if there]"
)
@click.option("--port", type=_PORT, help="The public port; wins over the file.")
@click.option("--workers", type=click.IntRange(0), help="Processes; wins over the file.")
@click.option("--local", is_flag=True, help="Serve the small local model too.")
def serve(config: Path | None, port: int | None, workers: int | None, local: bool) -> None:
    """Run the gateway until it is told to stop (SIGTERM, Ctrl-C)."""
    from gateway.config import ConfigError, find, load

    given = {"GATEWAY_SERVER__PORT": port, "GATEWAY_SERVER__WORKERS": workers}
    environ = {**os.environ, **{name: str(value) for name, value in given.items() if value is not None}}
    path = find(config)
    try:
        settings = load(path, environ)
    except ConfigError as error:
        click.echo("The configuration cannot be used:", err=True)
        for complaint in error.complaints:
            click.echo(f"  {complaint}", err=True)
        sys.exit(_BAD_CONFIGURATION)
    if path is not None:
        click.echo(f"Configuration: {path}")
    from gateway import collecting

    collecting.pause()
    from gateway.app import CannotStart, run
    from gateway.configuration.processes import processes

    if processes(settings.server) > 1:
        from gateway.workers.supervisor import supervise as run

    try:
        sys.exit(run(settings, environ, local=local, announce=click.echo))
    except CannotStart as reason:
        raise click.ClickException(str(reason)) from None
