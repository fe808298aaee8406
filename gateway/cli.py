"""The command line. Admin verbs go through the admin API: there is no private door.

Commands import what they need when they run, so that `--help` and completion answer at once.
"""

import click

from gateway import __version__
from gateway.commands.chat import chat
from gateway.commands.check import check
from gateway.commands.keys import keys
from gateway.commands.ledger import ledger
from gateway.commands.limits import limits
from gateway.commands.login import login, logout
from gateway.commands.options import ADMIN_URL
from gateway.commands.prices import prices
from gateway.commands.serve import serve
from gateway.commands.store import store
from gateway.commands.teams import teams
from gateway.commands.usage import usage


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="gateway %(version)s")
@click.option("--admin-url", envvar="GATEWAY_ADMIN_URL", help=f"The admin listener.  [default: {ADMIN_URL}]")
@click.pass_context
def main(context: click.Context, admin_url: str | None) -> None:
    """One OpenAI key, many clients: forward, cache, keep quotas, and show who used what.

    Exit codes: 0 done, 1 failed, 2 used wrongly. `serve` ends with 78 when its configuration is wrong.
    """
    context.obj = admin_url


for command in (serve, check, keys, teams, chat, login, logout, prices, usage, limits, ledger, store):
    main.add_command(command)
