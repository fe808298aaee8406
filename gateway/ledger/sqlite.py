"""The ledger in a SQLite file."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.ledger import schema
from gateway.ledger.columns import Entry
from gateway.ledger.failures import SinkMisconfigured, SinkUnavailable
from gateway.ledger.queries import INSERT

_TYPES = {"integer": "INTEGER", "text": "TEXT", "flag": "INTEGER", "time": "TEXT", "json": "TEXT"}
_EXISTS = "SELECT 1 FROM sqlite_master WHERE name = 'gateway_ledger_schema'"
_PATIENCE = 5.0  # seconds to wait for another program's write; the thread waits, the loop does not
_WORDS = {
    "SQLITE_BUSY": "another program keeps it locked",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_CANTOPEN": "it cannot be opened",
    "SQLITE_READONLY": "it may not be written to",
    "SQLITE_PERM": "it may not be used",
    "SQLITE_CORRUPT": "it is damaged",
    "SQLITE_NOTADB": "it is no SQLite database",
    "SQLITE_INTERRUPT": "it took too long",
}


class Sqlite:
    """`Database`. The file is made if it is not there, for this user alone."""

    has_tag = "EXISTS (SELECT 1 FROM json_each(tags) WHERE json_each.key = ? AND json_each.value = ?)"

    def __init__(self, path: Path, patience: float = _PATIENCE) -> None:
        self._path = path
        self._patience = patience
        self._connection: sqlite3.Connection | None = None

    def insert(self, entries: Sequence[Entry]) -> int:
        with self._connected() as connection, _transaction(connection):
            before = connection.total_changes
            connection.executemany(INSERT, entries)
            return connection.total_changes - before

    def select(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._connected() as connection:
            return connection.execute(query, values).fetchall()

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def abort(self) -> None:
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed in this moment
                connection.interrupt()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            yield self._connection
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise SinkUnavailable(
                f"The ledger's file {self._path} cannot be used: {_words(error)}."
            ) from None

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        # Only `abort` is called from another thread.
        connection = sqlite3.connect(
            self._path, timeout=self._patience, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except (sqlite3.Error, SinkMisconfigured):
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Bytes that somebody wrote past the gateway must not keep anybody from reading the other rows.
        connection.text_factory = lambda value: value.decode(errors="surrogateescape")
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode, power that fails takes the latest transactions at most and damages nothing. Those rows
        # are still in the stream, and are drained again: waiting for the disk each time would gain nothing.
        connection.execute("PRAGMA synchronous = NORMAL")
        if not connection.execute(_EXISTS).fetchall():
            with _transaction(connection):
                if not connection.execute(_EXISTS).fetchall():
                    for statement in schema.statements(_TYPES):
                        connection.execute(statement)
        schema.refuse_newer(connection.execute(schema.READ_VERSION).fetchone()[0])

    def __repr__(self) -> str:
        return f"<Sqlite {self._path}>"


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Takes the lock for writing at once, where it is waited for: later it would only fail."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _words(error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return next((words for code, words in _WORDS.items() if name.startswith(code)), name)
