"""`gateway keys`: what is asked of the admin API, and what is printed."""

import json

import pytest

from tests.commands.conftest import ADMIN_KEY, Answering, Call

ALICE = {
    "id": "0123456789ab",
    "name": "alice",
    "team": "research",
    "limits": ["60 requests/minute", {"limit": "8 concurrent", "mode": "shadow"}],
    "models": ["*"],
    "endpoints": None,
    "ownership": "off",
    "expires": "2030-12-31T00:00:00.000Z",
    "created": "2026-11-22T15:30:00.250Z",
    "declared": False,
}
BOB = {"id": "ba9876543210", "name": "bob\x1b[2J", "team": None, "limits": [], "models": ["gpt-*", "o3"]}


def test_create_shows_the_key_alone_on_the_standard_output(server: Answering, call: Call) -> None:
    server.answer("POST", "/admin/v1/keys", {"key": "sk-gw-0123456789ab-new", **ALICE}, 201)
    result = call(
        *("keys", "create", "alice", "--team", "research", "--limit", "60 requests/minute"),
        *("--limit", "8 concurrent", "--model", "gpt-*", "--expires", "2030-12-31", "--ownership", "off"),
        *("--endpoint", "inference", "--endpoint", "files"),
    )
    assert result.exit_code == 0
    assert result.stdout == "sk-gw-0123456789ab-new\n"
    assert "alice (id 0123456789ab)" in result.stderr
    body = {
        "name": "alice",
        "team": "research",
        "limits": ["60 requests/minute", "8 concurrent"],
        "models": ["gpt-*"],
        "endpoints": ["inference", "files"],
        "expires": "2030-12-31",
        "ownership": "off",
    }
    assert server.requests == [("POST", "/admin/v1/keys", f"Bearer {ADMIN_KEY}", body)]


def test_create_sends_nothing_that_was_not_said(server: Answering, call: Call) -> None:
    server.answer("POST", "/admin/v1/keys", {"key": "sk-gw-x", "id": "x"}, 201)
    assert call("keys", "create", "bob").exit_code == 0
    assert server.requests[0][3] == {"name": "bob"}


def test_create_leaves_an_empty_name_to_the_api(server: Answering, call: Call) -> None:
    call("keys", "create", "")
    assert server.requests[0][3] == {"name": ""}


def test_list_is_a_table(server: Answering, call: Call) -> None:
    server.answer("GET", "/admin/v1/keys", {"object": "list", "data": [ALICE, BOB]})
    lines = call("keys", "list").stdout.splitlines()
    assert lines[0].split() == ["ID", "NAME", "TEAM", "LIMITS", "MODELS", "ENDPOINTS", "OWNERSHIP", "EXPIRES"]
    assert lines[1].startswith("0123456789ab  alice    ")
    assert "60 requests/minute, 8 concurrent (shadow)" in lines[1]
    assert lines[1].index("off") == lines[0].index("OWNERSHIP")
    assert "bob?[2J" in lines[2]
    assert lines[1].index("research") == lines[0].index("TEAM")


def test_show_leaves_out_what_is_empty(server: Answering, call: Call) -> None:
    server.answer("GET", "/admin/v1/keys/0123456789ab", ALICE)
    lines = dict(line.split(None, 1) for line in call("keys", "show", "0123456789ab").stdout.splitlines())
    assert lines["team"] == "research"
    assert lines["declared"] == "no"
    assert "endpoints" not in lines


def test_revoke(server: Answering, call: Call) -> None:
    server.answer("DELETE", "/admin/v1/keys/a%2Fb", {"id": "a/b", "deleted": True})
    result = call("keys", "revoke", "a/b")
    assert result.stdout == "The key a/b is revoked.\n"
    assert server.requests[0][:2] == ("DELETE", "/admin/v1/keys/a%2Fb")


@pytest.mark.parametrize("verb", ["show", "revoke"])
def test_who_gives_a_name_is_told_the_id(server: Answering, call: Call, verb: str) -> None:
    server.answer("GET", "/admin/v1/keys", {"data": [ALICE, BOB]})
    assert "the key of that name has the id 0123456789ab" in call("keys", verb, "alice").stderr
    assert "gateway keys list" in call("keys", verb, "carol").stderr


def test_who_gives_the_key_is_told_the_id_and_it_is_not_sent(server: Answering, call: Call) -> None:
    result = call("keys", "show", "sk-gw-0123456789ab-canary0123456789")
    assert result.exit_code == 2
    assert "Its id is 0123456789ab." in result.stderr
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "method", "path"),
    [
        (("create", "alice"), "POST", "/admin/v1/keys"),
        (("list",), "GET", "/admin/v1/keys"),
        (("show", "x"), "GET", "/admin/v1/keys/x"),
        (("revoke", "x"), "DELETE", "/admin/v1/keys/x"),
    ],
)
def test_json_is_what_the_admin_api_answers(
    server: Answering, call: Call, arguments: tuple[str, ...], method: str, path: str
) -> None:
    server.answer(method, path, {"data": [ALICE]})
    result = call("keys", *arguments, "--json")
    assert json.loads(result.stdout) == {"data": [ALICE]}
