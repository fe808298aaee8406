"""`gateway ledger`: what verifying says, and with which exit code."""

import json
from typing import Any

import pytest

from tests.commands.conftest import Answering, Call

VERIFY = "/admin/v1/ledger/verify"
HASH = "ab" * 20


def part(**changes: Any) -> dict[str, Any]:
    whole = {"rows": 3, "first": 1, "last": 3, "hash": HASH, "broken": None, "done": True, "next": None}
    return whole | changes


def test_a_ledger_that_is_whole(server: Answering, call: Call) -> None:
    server.answer("GET", f"{VERIFY}?limit=2000", part())
    result = call("ledger", "verify")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        *("The ledger is whole.", "rows   3", "first  1", "last   3"),
        f"head   3:{HASH}",
    ]


def test_the_head_is_what_is_expected_later(server: Answering, call: Call) -> None:
    server.answer("GET", f"{VERIFY}?limit=1", part(rows=1, last=1, hash="cd" * 20, next="17-0", done=False))
    server.answer("GET", f"{VERIFY}?limit=2&after=17-0", part(rows=2, first=2))
    head = call("ledger", "verify", "--expect", f"3:{HASH}").stdout.splitlines()[-1].split()[1]
    assert head == f"3:{HASH}"
    result = call("ledger", "verify", "--expect", f"3:{'0' * 40}")
    assert result.exit_code == 1
    assert result.stdout.startswith("The ledger is broken at row 3: its hash is abab")


def test_a_broken_ledger_fails(server: Answering, call: Call) -> None:
    broken = {"number": 2, "reason": "its text is not the one that was hashed"}
    server.answer("GET", f"{VERIFY}?limit=2000", part(rows=1, last=1, broken=broken))
    result = call("ledger", "verify")
    assert result.exit_code == 1
    assert "broken at row 2: its text is not the one that was hashed." in result.stdout
    result = call("ledger", "verify", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "rows": 1,
        "first": 1,
        "last": 1,
        "hash": HASH,
        "broken": broken,
    }


def test_a_ledger_that_begins_later_says_so(server: Answering, call: Call) -> None:
    server.answer("GET", f"{VERIFY}?limit=2000", part(first=40, last=42))
    result = call("ledger", "verify")
    assert (result.exit_code, "before number 40" in result.stderr) == (0, True)


def test_an_empty_ledger_is_not_broken(server: Answering, call: Call) -> None:
    server.answer("GET", f"{VERIFY}?limit=2000", part(rows=0, first=None, last=None, hash=""))
    result = call("ledger", "verify")
    assert (result.exit_code, result.stdout) == (0, "The ledger is empty.\nrows  0\n")


@pytest.mark.parametrize("expected", ["3", f"0:{HASH}", "3:abc", f"3:{HASH}0", HASH])
def test_what_is_no_head_is_refused_unsent(server: Answering, call: Call, expected: str) -> None:
    result = call("ledger", "verify", "--expect", expected)
    assert (result.exit_code, server.requests) == (2, [])
