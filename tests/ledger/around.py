"""What others do to the database, past the gateway."""

import sqlite3
from typing import Any

import psycopg


def tamper(target: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run them there; the rows of the last one, if it has any."""
    if not target.startswith("sqlite:"):
        with psycopg.connect(target, autocommit=True) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []
    file = sqlite3.connect(target.removeprefix("sqlite:"), isolation_level=None)
    try:
        found: list[tuple[Any, ...]] = []
        for statement in statements:
            found = file.execute(statement).fetchall()
        return found
    finally:
        file.close()
