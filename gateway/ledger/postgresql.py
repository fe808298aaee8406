"""The ledger in PostgreSQL, through psycopg (the extra `postgres`)."""

import contextlib
import os
import re
import socket
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway.ledger import schema
from gateway.ledger.columns import Entry, canonical
from gateway.ledger.failures import SinkMisconfigured, SinkUnavailable
from gateway.ledger.queries import INSERT

if TYPE_CHECKING:
    import psycopg

_TYPES = {"integer": "BIGINT", "text": "TEXT", "flag": "BOOLEAN", "time": "TIMESTAMPTZ", "json": "JSONB"}
_EXISTS = "SELECT to_regclass('gateway_ledger_schema') IS NOT NULL"
_TAGS_INDEX = "CREATE INDEX gateway_ledger_tags ON gateway_ledger USING gin (tags jsonb_path_ops)"
_LOCK = "SELECT pg_advisory_xact_lock(7419300211)"  # any number, as long as every gateway takes this one
# A server that vanished is noticed within seconds, connecting or connected.
_DEFAULTS = {
    "connect_timeout": "5",
    "application_name": "openai-team-gateway ledger",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_PORTS = re.compile(r"[0-9,]*")  # one for each of several hosts
# libpq's words may repeat parts of a mistyped address, password and all: these are said instead.
_WORDS = (
    (r"password|authentication|pg_hba", "it refuses the user or the password"),
    (r"does not exist", "it has no such database or user"),
    (r"translate host name|name resolution|resolve", "its host has no address"),
    (r"refused|No such file", "nothing listens at its address"),
    (r"timeout|timed out", "it does not answer in time"),
    (r"starting up|shutting down|recovery", "it is starting or stopping"),
    (r"closed the connection|terminating|connection.* lost", "it ended the connection"),
)


class Postgres:
    """`Database`. `url` is libpq's, and is never repeated. Raises SinkMisconfigured without psycopg."""

    has_tag = "tags @> jsonb_build_object(?::text, ?::text)"

    def __init__(self, url: str) -> None:
        try:
            import psycopg
            from psycopg import conninfo
        except ImportError:
            raise SinkMisconfigured(
                "a ledger in PostgreSQL needs psycopg: pip install 'openai-team-gateway[postgres]'"
            ) from None
        self._psycopg = psycopg
        try:
            given = conninfo.conninfo_to_dict(url)
            if not _PORTS.fullmatch(str(given.get("port", ""))):
                raise psycopg.ProgrammingError
            missing = {name: value for name, value in _DEFAULTS.items() if name not in given}
            self._address = conninfo.make_conninfo(url, **missing)
        except psycopg.Error:
            raise SinkMisconfigured(
                "the address of the ledger's database is malformed: write "
                "postgresql://USER:PASSWORD@HOST/DATABASE, with %40 for an @ in the password, %2F for a /"
            ) from None
        self._connection: psycopg.Connection[Any] | None = None

    def insert(self, entries: Sequence[Entry]) -> int:
        with self._connected() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_placed(INSERT), entries)
            return cursor.rowcount

    def select(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._connected() as connection:
            rows = connection.execute(_placed(query), values).fetchall()
        return [tuple(_plain(value) for value in row) for row in rows]

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def abort(self) -> None:
        """Cuts the connection, as a server that died would: asking it to cancel might wait as well."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError, self._psycopg.Error), _socket_of(connection) as line:
                line.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _connected(self) -> "Iterator[psycopg.Connection[Any]]":
        try:
            if self._connection is None:
                self._connection = self._connect()
            yield self._connection
        except self._psycopg.Error as error:
            self.close()
            raise SinkUnavailable(f"The ledger's PostgreSQL cannot be used: {_words(error)}.") from None

    def _connect(self) -> "psycopg.Connection[Any]":
        # Nothing is prepared at the server, so that a pool such as PgBouncer may stand in between.
        connection = self._psycopg.connect(self._address, autocommit=True, prepare_threshold=None)
        try:
            with connection.transaction():
                connection.execute(_LOCK)
                if not _first(connection.execute(_EXISTS)):
                    for statement in (*schema.statements(_TYPES), _TAGS_INDEX):
                        connection.execute(statement.encode())
            schema.refuse_newer(_first(connection.execute(schema.READ_VERSION)))
        except (self._psycopg.Error, SinkMisconfigured):
            connection.close()
            raise
        return connection

    def __repr__(self) -> str:
        return f"<Postgres {'connected' if self._connection is not None else 'not connected'}>"


def _placed(query: str) -> bytes:
    return query.replace("?", "%s").encode()


def _first(cursor: "psycopg.Cursor[Any]") -> Any:
    row = cursor.fetchone()
    return row[0] if row else 0


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    return canonical(value) if isinstance(value, dict | list) else value


def _socket_of(connection: "psycopg.Connection[Any]") -> socket.socket:
    return socket.socket(fileno=os.dup(connection.fileno()))


def _words(error: "psycopg.Error") -> str:
    if error.sqlstate:
        return f"it says SQLSTATE {error.sqlstate}"
    said = str(error)
    return next((words for sign, words in _WORDS if re.search(sign, said)), type(error).__name__)
