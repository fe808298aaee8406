"""`gateway chat`, with a pipe for its input."""

from tests.commands.conftest import Answering, Call
from tests.commands.test_conversation import CHAT, stream


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
    assert "gateway keys create" in result.stderr
