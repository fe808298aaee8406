"""Both databases are what a sink asks for."""

from pathlib import Path

from gateway.ledger.database import Database
from gateway.ledger.postgresql import Postgres
from gateway.ledger.sqlite import Sqlite


def test_both_are_databases() -> None:
    databases: list[Database] = [Sqlite(Path("x")), Postgres("postgresql://h/d")]
    for each in databases:
        assert each.has_tag.count("?") == 2
        each.abort()  # nothing is being done
        each.close()
        each.close()
