"""Where the ledger goes: a file, or a database, whose address may be a reference: it holds a password."""

from collections.abc import Mapping

from gateway.configuration.complaints import Complaints
from gateway.configuration.secretchecks import find_secret
from gateway.ledger.failures import SinkMisconfigured
from gateway.ledger.postgresql import Postgres
from gateway.ledger.target import AUTO, OFF, parse
from gateway.settings import Ledger
from gateway.upstream.secrets import resolve

_WHERE = "ledger.sink"
_REFERENCES = ("env:", "file:")


def sink_address(ledger: Ledger, environ: Mapping[str, str]) -> str:
    """`ledger.sink`, looked up where it is a reference. ValueError when that has gone since the check."""
    if ledger.sink.startswith(_REFERENCES):
        return resolve(ledger.sink, environ).reveal()
    return ledger.sink


def check_ledger(ledger: Ledger, environ: Mapping[str, str], complaints: Complaints) -> None:
    """Add a complaint for what cannot be drained into, or is kept too short. None quotes the address."""
    if ledger.max_rows < 1:
        complaints.add("ledger.max_rows", f"{ledger.max_rows} is no number of rows", "write 1 or more")
    if ledger.max_age < 1:
        complaints.add("ledger.max_age", "this is too short to read or drain anything", "write 1s or more")
    if ledger.sink.startswith(_REFERENCES):
        found = find_secret(ledger.sink, _WHERE, environ, complaints)
        if found is not None:
            _check_target(found.reveal(), complaints)
    elif ledger.sink not in (AUTO, OFF):
        _check_target(ledger.sink, complaints)


def _check_target(text: str, complaints: Complaints) -> None:
    try:
        target = parse(text)
        if target.url:
            Postgres(target.url)  # connects to nothing yet
    except SinkMisconfigured as error:
        complaints.add(_WHERE, str(error))
