"""The ledger in PostgreSQL: what is said when it does not work, never with a word of its address."""

import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from gateway.ledger.failures import SinkMisconfigured, SinkUnavailable
from gateway.ledger.postgresql import Postgres
from gateway.ledger.sink import Sink
from tests.ledger import postgres
from tests.ledger.rows import chained, row

ROWS = chained(row(n) for n in range(1, 6))
pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"canary-": "canary-wrong"}, "it refuses the user or the password"),
        ({"gateway:": "canary-nobody:"}, "it refuses the user or the password"),
        ({"/postgres?": "/canary-none?"}, "it has no such database or user"),
        ({"127.0.0.1": "canary-none.invalid"}, "its host has no address"),
        ({"postgresql:": "postgresql:", "PORT": "1"}, "nothing listens at its address"),
    ],
)
async def test_a_server_that_lets_nobody_in(
    empty: postgres.Server, change: dict[str, str], words: str
) -> None:
    url = empty.url
    for old, new in change.items():
        url = url.replace(str(empty.port) if old == "PORT" else old, new)
    with pytest.raises(SinkUnavailable, match=words) as caught:
        await Sink.open(url)
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:canary@host:port/db",
        "postgresql://user:can/ary@host/db",
        "postgresql://host/db?canary=1",
        "postgresql://user:%zzcanary@host/db",
        "postgresql://[canary/db",
    ],
)
def test_an_address_that_is_malformed_is_not_repeated(url: str) -> None:
    with pytest.raises(SinkMisconfigured, match="malformed") as caught:
        Postgres(url)
    assert "ary" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_without_psycopg_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SinkMisconfigured, match=r"pip install 'openai-team-gateway\[postgres\]'"):
        Postgres("postgresql://h/d")


async def test_an_account_that_may_not_write_is_said_by_its_code(empty: postgres.Server) -> None:
    sink = await Sink.open(empty.url)
    empty.run(
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN PASSWORD 'reads'",
        "GRANT SELECT ON gateway_ledger, gateway_ledger_schema TO reader",
    )
    reader = await Sink.open(f"postgresql://reader:reads@127.0.0.1:{empty.port}/postgres")
    assert await reader.last() is None
    with pytest.raises(SinkUnavailable, match="SQLSTATE 42501"):
        await reader.insert(ROWS)
    for each in (sink, reader):
        await each.close()
    empty.run("DROP OWNED BY reader", "DROP ROLE reader")


@pytest.fixture
def locked(empty: postgres.Server) -> Iterator["psycopg.Connection[Any]"]:
    """Somebody has locked the whole table."""
    with psycopg.connect(empty.url) as connection:
        yield connection
        connection.rollback()


async def test_a_server_that_does_not_answer_is_waited_for_so_long(
    empty: postgres.Server, locked: "psycopg.Connection[Any]"
) -> None:
    sink = await Sink.open(empty.url)
    assert await sink.insert(ROWS) == 5
    sink._deadline = 0.5  # from here on: connecting may take longer on a busy machine
    locked.execute("LOCK TABLE gateway_ledger IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(SinkUnavailable, match="takes too long"):
        await sink.last()
    locked.rollback()
    while True:
        try:
            assert await sink.last() == ROWS[-1]
            break
        except SinkUnavailable:
            continue
    await sink.close()


async def test_it_is_closed_though_the_server_hangs(
    empty: postgres.Server, locked: "psycopg.Connection[Any]"
) -> None:
    sink = await Sink.open(empty.url)
    await sink.insert(ROWS)
    sink._deadline = 0.5
    locked.execute("LOCK TABLE gateway_ledger IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(SinkUnavailable):
        await sink.insert(ROWS)
    await sink.close()


async def test_a_connection_that_was_cut_is_made_again(empty: postgres.Server) -> None:
    sink = await Sink.open(empty.url)
    await sink.insert(ROWS)
    empty.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%team-gateway%'"
    )
    with pytest.raises(SinkUnavailable, match=r"SQLSTATE 57P01|ended the connection"):
        await sink.last()
    assert await sink.last() == ROWS[-1]
    await sink.close()


async def test_what_the_address_says_wins_over_our_own_options(empty: postgres.Server) -> None:
    sink = await Sink.open(empty.url + "&application_name=mine&options=-csearch_path%3Dpublic")
    names = empty.run("SELECT application_name FROM pg_stat_activity WHERE application_name = 'mine'")
    assert names == [("mine",)]
    await sink.close()


async def test_the_table_is_found_again_by_its_tags_index(empty: postgres.Server) -> None:
    """A filter by tag is not a walk over the table."""
    sink = await Sink.open(empty.url)
    await sink.insert(ROWS)
    plan = empty.run(
        "SET enable_seqscan = off",
        "EXPLAIN SELECT 1 FROM gateway_ledger WHERE tags @> jsonb_build_object('a'::text, 'b'::text)",
    )
    assert any("gateway_ledger_tags" in line for (line,) in plan)
    await sink.close()
