"""Where the ledger is drained to: `sqlite:PATH` or `postgresql://…`."""

from dataclasses import dataclass, field
from pathlib import Path

from gateway.ledger.failures import SinkMisconfigured

AUTO, OFF = "auto", "off"
FILE = "ledger.sqlite3"
_POSTGRESQL = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class Target:
    """A file (`path`) or a server (`url`); the other one is empty."""

    path: str = ""
    url: str = field(default="", repr=False)


def parse(text: str) -> Target:
    """Raises SinkMisconfigured for what is neither. Nothing is quoted: the address may hold a password."""
    if text.startswith(_POSTGRESQL):
        return Target(url=text)
    path = text.removeprefix("sqlite:")
    if path == text or not path.strip() or "\0" in path:
        raise SinkMisconfigured(
            "this is no place that the ledger can go to: write auto, off, sqlite:PATH, "
            "postgresql://USER@HOST/DATABASE, or env:NAME or file:PATH of such an address"
        )
    return Target(path=path)


def chosen(sink: str, *, embedded: bool, data: Path) -> str:
    """The target that `ledger.sink` means; "" for none.

    `auto` is a file in the folder `data` for a gateway whose store is `embedded`: where several gateways
    share a store, each would fill a file of its own.
    """
    if sink == AUTO:
        return f"sqlite:{data / FILE}" if embedded else ""
    return "" if sink == OFF else sink
