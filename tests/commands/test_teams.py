"""`gateway teams`: what is asked of the admin API, and what is printed."""

import json

from tests.commands.conftest import Answering, Call

TEAM = {"name": "data science", "limits": ["100k tokens/minute"], "models": ["*"], "declared": True}


def test_create(server: Answering, call: Call) -> None:
    server.answer("POST", "/admin/v1/teams", TEAM, 201)
    result = call("teams", "create", "data science", "--limit", "100k tokens/minute", "--model", "gpt-*")
    assert "keys create NAME --team" in result.stdout
    body = {"name": "data science", "limits": ["100k tokens/minute"], "models": ["gpt-*"]}
    assert server.requests[0][3] == body


def test_list(server: Answering, call: Call) -> None:
    server.answer("GET", "/admin/v1/teams", {"object": "list", "data": [TEAM]})
    assert call("teams", "list").stdout == (
        "NAME          LIMITS              MODELS  ENDPOINTS\ndata science  100k tokens/minute  *\n"
    )


def test_show_and_delete_quote_the_name(server: Answering, call: Call) -> None:
    server.answer("GET", "/admin/v1/teams/data%20science", TEAM)
    server.answer("DELETE", "/admin/v1/teams/data%20science", {"name": "data science", "deleted": True})
    assert "declared  yes" in call("teams", "show", "data science").stdout
    assert call("teams", "delete", "data science").stdout == "The team data science is deleted.\n"


def test_json_is_what_the_admin_api_answers(server: Answering, call: Call) -> None:
    server.answer("POST", "/admin/v1/teams", TEAM, 201)
    server.answer("DELETE", "/admin/v1/teams/x", {"deleted": True})
    for arguments in (("create", "x"), ("delete", "x")):
        assert isinstance(json.loads(call("teams", *arguments, "--json").stdout), dict)


def test_a_refusal_is_said_in_the_apis_words(server: Answering, call: Call) -> None:
    server.answer("DELETE", "/admin/v1/teams/x", {"error": {"message": "2 keys belong to this team."}}, 409)
    result = call("teams", "delete", "x")
    assert (result.exit_code, result.stderr) == (1, "Error: 2 keys belong to this team.\n")
