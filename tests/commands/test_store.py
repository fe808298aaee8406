"""`gateway store accept`: asked before it is done."""

import json

from tests.commands.conftest import Answering, Call

ACCEPT = ("POST", "/admin/v1/store/accept")
ANSWER = {
    "accepted": True,
    "epoch": "ab",
    "keys": 3,
    "teams": 1,
    "budgets": 2,
    "source": "sink",
    "rows": 40,
}


def test_it_asks_and_says_what_was_put_back(server: Answering, call: Call) -> None:
    server.answer(*ACCEPT, ANSWER)
    result = call("store", "accept", typed="y\n")
    assert result.exit_code == 0
    assert "backup" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("The store is accepted.")
    assert dict(line.split() for line in lines[1:]) == {
        "keys": "3",
        "teams": "1",
        "budgets": "2",
        "source": "sink",
        "rows": "40",
    }
    assert server.requests[0][3] == {"without_keys": False}


def test_nothing_is_done_without_a_yes(server: Answering, call: Call) -> None:
    for typed in ("n\n", "\n", ""):
        result = call("store", "accept", typed=typed)
        assert result.exit_code == 1
    assert server.requests == []


def test_machines_are_not_asked(server: Answering, call: Call) -> None:
    server.answer(*ACCEPT, ANSWER)
    result = call("store", "accept", "--yes", "--without-keys", "--json")
    assert (json.loads(result.stdout), result.stderr) == (ANSWER, "")
    assert server.requests[0][3] == {"without_keys": True}


def test_a_refusal_is_passed_on(server: Answering, call: Call) -> None:
    server.answer(*ACCEPT, {"error": {"message": "There is nothing to accept."}}, 409)
    result = call("store", "accept", "--yes")
    assert (result.exit_code, result.stderr) == (1, "Error: There is nothing to accept.\n")
