"""The tables that rows are drained into, in the words of either database.

`gateway_ledger_schema` holds the version, so that no gateway writes to tables that it does not know.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.ledger.columns import TYPES
from gateway.ledger.failures import SinkMisconfigured

VERSION: Final = 1
READ_VERSION: Final = "SELECT version FROM gateway_ledger_schema"

_REQUIRED = ("position_ms", "position_seq", "number", "row", "hash")
_PLACE = "position_ms, position_seq"


def statements(types: Mapping[str, str]) -> Iterator[str]:
    """What makes the tables. `types` are the database's own: integer, text, flag, time, json."""
    yield "CREATE TABLE gateway_ledger_schema (version INTEGER NOT NULL)"
    yield f"INSERT INTO gateway_ledger_schema VALUES ({VERSION})"  # noqa: S608
    columns = (
        f"{name} {types[kind]}{' NOT NULL' if name in _REQUIRED else ''}" for name, kind in TYPES.items()
    )
    # A row without an id is one that could not be read: of those there may be many.
    constraints = f"PRIMARY KEY ({_PLACE}), UNIQUE (id, correction)"
    yield f"CREATE TABLE gateway_ledger ({', '.join(columns)}, {constraints})"
    for owner in ("key", "team", "model"):
        yield f"CREATE INDEX gateway_ledger_{owner} ON gateway_ledger ({owner}, {_PLACE})"
    yield "CREATE INDEX gateway_ledger_time ON gateway_ledger (time_ms)"


def refuse_newer(version: int) -> None:
    """Raises SinkMisconfigured where a later gateway has made the tables."""
    if version > VERSION:
        raise SinkMisconfigured(
            f"the ledger's tables have version {version}, and this gateway knows {VERSION}: "
            "update the gateway, or give it a database of its own"
        )
