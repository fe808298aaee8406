"""Where the ledger goes: what is taken, what is refused, and that no address is ever quoted."""

import sys

import pytest

from gateway.configuration.complaints import Complaints
from gateway.configuration.ledgerchecks import check_ledger, sink_address
from gateway.settings import Duration, Ledger

URL = "postgresql://gateway:canary-secret@db.internal/ledger"


def found(ledger: Ledger, **environ: str) -> list[str]:
    complaints = Complaints()
    check_ledger(ledger, environ, complaints)
    return list(complaints)


@pytest.mark.parametrize("sink", ["auto", "off", "sqlite:ledger.db", URL, "env:LEDGER"])
def test_sinks_that_are_taken(sink: str) -> None:
    assert found(Ledger(sink=sink), LEDGER=URL) == []


@pytest.mark.parametrize(
    ("sink", "wrong"),
    [
        ("", "no place that the ledger can go to"),
        ("on", "no place that the ledger can go to"),
        ("sqlite:", "no place that the ledger can go to"),
        ("mysql://canary@host/db", "no place that the ledger can go to"),
        ("postgresql://user:canary@host:port/db", "malformed"),
        ("env:UNSET", "not set"),
        ("env:sk-canary", "no name of a variable"),
        ("env:WRONG", "no place that the ledger can go to"),
        ("file:/does/not/exist", "cannot be read"),
    ],
)
def test_sinks_that_are_not(sink: str, wrong: str) -> None:
    complaints = found(Ledger(sink=sink), WRONG="canary")
    assert len(complaints) == 1
    assert complaints[0].startswith("ledger.sink: ")
    assert wrong in complaints[0]
    assert "canary" not in complaints[0]


def test_what_is_missing_for_postgresql_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'openai-team-gateway[postgres]'" in found(Ledger(sink=URL))[0]


def test_nothing_can_be_kept_for_no_time() -> None:
    complaints = found(Ledger(max_rows=0, max_age=Duration(0)))
    assert [each.partition(":")[0] for each in complaints] == ["ledger.max_rows", "ledger.max_age"]


def test_a_reference_is_looked_up() -> None:
    assert sink_address(Ledger(sink="env:LEDGER"), {"LEDGER": URL}) == URL
    assert sink_address(Ledger(sink="auto"), {}) == "auto"
    with pytest.raises(ValueError, match="not set"):
        sink_address(Ledger(sink="env:LEDGER"), {})
