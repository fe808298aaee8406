"""`gateway chat`, with a pipe for its input."""

from pathlib import Path

import pytest

from openai_secret_manager.login import Login, keep
from tests.commands.conftest import CLIENT_KEY, Answering, Call
from tests.commands.test_conversation import CHAT, stream
from tests.logins import newcomer

NOTHING_SET = {"GATEWAY_API_KEY": None, "GATEWAY_BASE_URL": None}


@pytest.fixture(autouse=True)
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return newcomer(monkeypatch, tmp_path)


def test_answers_alone_go_to_the_standard_output(server: Answering, call: Call) -> None:
    server.answer("GET", "/v1/models", {"data": [{"id": "smollm2-135m-instruct"}]})
    server.answer("POST", CHAT, stream("Hello", "."), x_gateway_cache="hit", x_gateway_upstream="cache")
    result = call("chat", typed="Say hello.\n\nAgain\n/exit\nnever asked\n")
    assert result.exit_code == 0
    assert result.stdout == "Hello.\nHello.\n"
    assert "Talking to smollm2-135m-instruct" in result.stderr
    assert "(cache: hit, upstream: cache)" in result.stderr
    assert [body["messages"][-1]["content"] for _, _, _, body in server.requests[1:]] == [
        "Say hello.",
        "Again",
    ]


def test_a_model_that_is_named_is_asked_without_looking(server: Answering, call: Call) -> None:
    server.answer("POST", CHAT, stream("x"))
    assert call("chat", "--model", "m", typed="Hi").exit_code == 0
    assert [request[1] for request in server.requests] == [CHAT]


def test_a_refusal_does_not_end_the_chat_but_is_counted(server: Answering, call: Call) -> None:
    server.answer("POST", CHAT, {"error": {"message": "Limit reached."}}, 429)
    result = call("chat", "--model", "m", typed="one\ntwo\n")
    assert result.exit_code == 1
    assert result.stderr.count("Error: Limit reached.") == 2


def test_without_a_key_it_says_where_one_comes_from(call: Call) -> None:
    result = call("chat", GATEWAY_API_KEY=None)
    assert result.exit_code == 2
    assert "gateway login" in result.stderr
    assert "gateway keys create" in result.stderr


def test_after_a_login_nothing_need_be_set(server: Answering, call: Call) -> None:
    server.answer("POST", CHAT, stream("x"))
    keep(Login(f"{server.url}/v1", CLIENT_KEY))
    result = call("chat", "--model", "m", typed="Hi", **NOTHING_SET)
    assert (result.exit_code, result.stdout) == (0, "x\n")
    assert [request[2] for request in server.requests] == [f"Bearer {CLIENT_KEY}"]


def test_a_key_that_is_set_comes_first_and_goes_where_the_login_says(server: Answering, call: Call) -> None:
    server.answer("POST", CHAT, stream("x"))
    keep(Login(f"{server.url}/v1", "sk-gw-abcdef-another-canary"))
    result = call("chat", "--model", "m", typed="Hi", GATEWAY_BASE_URL=None)
    assert result.exit_code == 0
    assert [request[2] for request in server.requests] == [f"Bearer {CLIENT_KEY}"]


def test_a_kept_key_is_not_sent_to_another_gateway(server: Answering, call: Call) -> None:
    keep(Login("http://127.0.0.1:9/v1", CLIENT_KEY))
    result = call("chat", "--model", "m", typed="Hi", GATEWAY_API_KEY=None)
    assert result.exit_code == 2
    assert "is for http://127.0.0.1:9/v1" in result.stderr
    assert server.requests == []


def test_a_kept_key_that_others_can_read_is_not_used(file: Path, server: Answering, call: Call) -> None:
    keep(Login(f"{server.url}/v1", CLIENT_KEY))
    file.chmod(0o644)
    result = call("chat", "--model", "m", typed="Hi", **NOTHING_SET)
    assert result.exit_code == 1
    assert "is open to others" in result.stderr
    assert server.requests == []
