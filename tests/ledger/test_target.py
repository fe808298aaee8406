"""Where the ledger goes, and where `auto` does."""

from pathlib import Path

import pytest

from gateway.ledger.failures import SinkMisconfigured
from gateway.ledger.target import Target, chosen, parse


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("sqlite:ledger.db", Target(path="ledger.db")),
        ("sqlite:/var/lib/gateway/ledger.db", Target(path="/var/lib/gateway/ledger.db")),
        ("postgresql://a:b@c/d", Target(url="postgresql://a:b@c/d")),
        ("postgres:///d?host=/run/postgresql", Target(url="postgres:///d?host=/run/postgresql")),
    ],
)
def test_files_and_servers(text: str, target: Target) -> None:
    assert parse(text) == target


@pytest.mark.parametrize(
    "text", ["", "auto", "sqlite:", "sqlite: ", "sqlite:a\0b", "mysql://canary@host/db", "canary", "env:NAME"]
)
def test_nothing_else_and_none_is_quoted(text: str) -> None:
    with pytest.raises(SinkMisconfigured, match="no place that the ledger can go to") as caught:
        parse(text)
    assert "canary" not in str(caught.value)


def test_a_server_is_not_shown() -> None:
    assert "canary" not in repr(parse("postgresql://user:canary@host/db"))


@pytest.mark.parametrize(
    ("sink", "embedded", "expected"),
    [
        ("auto", True, "sqlite:/data/ledger.sqlite3"),
        ("auto", False, ""),
        ("off", True, ""),
        ("off", False, ""),
        ("sqlite:x.db", True, "sqlite:x.db"),
        ("postgresql://h/d", False, "postgresql://h/d"),
    ],
)
def test_what_a_setting_means(sink: str, embedded: bool, expected: str) -> None:
    assert chosen(sink, embedded=embedded, data=Path("/data")) == expected
