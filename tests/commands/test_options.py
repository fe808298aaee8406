"""Where the admin API is, and the key to it."""

import pytest

from tests.commands.conftest import Answering, Call


@pytest.mark.parametrize("key", ["", "  ", None])
def test_without_a_key_the_commands_say_where_it_comes_from(call: Call, key: str | None) -> None:
    result = call("keys", "list", GATEWAY_ADMIN_KEY=key)
    assert result.exit_code == 2
    assert "Set GATEWAY_ADMIN_KEY" in result.stderr


@pytest.mark.parametrize("place", ["before", "behind"])
def test_the_address_may_stand_before_and_behind_the_command(
    server: Answering, call: Call, place: str
) -> None:
    server.answer("GET", "/admin/v1/keys", {"data": []})
    address = ("--admin-url", server.url)
    arguments = (*address, "keys", "list") if place == "before" else ("keys", "list", *address)
    assert call(*arguments, GATEWAY_ADMIN_URL="http://127.0.0.1:1").exit_code == 0
    assert len(server.requests) == 1


def test_the_key_may_end_in_a_line_break(server: Answering, call: Call) -> None:
    server.answer("GET", "/admin/v1/keys", {"data": []})
    assert call("keys", "list", GATEWAY_ADMIN_KEY="sk-x\n").exit_code == 0
    assert server.requests[0][2] == "Bearer sk-x"
