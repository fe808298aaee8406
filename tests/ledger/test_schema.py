"""The tables: each column once, and their version."""

import pytest

from gateway.ledger.columns import COLUMNS
from gateway.ledger.failures import SinkMisconfigured
from gateway.ledger.schema import VERSION, refuse_newer, statements


def test_every_column_is_there_once() -> None:
    types = {kind: kind.upper() for kind in ("integer", "text", "flag", "time", "json")}
    table = next(each for each in statements(types) if each.startswith("CREATE TABLE gateway_ledger ("))
    defined = [part.split()[0] for part in table.partition("(")[2].split(", ")][: len(COLUMNS)]
    assert tuple(defined) == COLUMNS


def test_only_newer_versions_are_refused() -> None:
    refuse_newer(VERSION)
    with pytest.raises(SinkMisconfigured, match="update the gateway"):
        refuse_newer(VERSION + 1)
