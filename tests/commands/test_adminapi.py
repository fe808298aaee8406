"""The admin API as the commands see it: each failure says what to do next."""

import click
import pytest

from gateway.commands.adminapi import AdminApi, NotFound
from tests.commands.conftest import ADMIN_KEY, Answering


def failure(server: Answering) -> str:
    with pytest.raises(click.ClickException) as error:
        AdminApi(server.url, ADMIN_KEY).call("GET", "keys")
    return error.value.message


def test_the_answer_is_json_and_may_be_empty(server: Answering) -> None:
    server.answer("GET", "/admin/v1/keys", {"data": []})
    server.answer("DELETE", "/admin/v1/keys/x", b"", 204)
    api = AdminApi(f"{server.url}/", ADMIN_KEY)
    assert api.call("GET", "keys") == {"data": []}
    assert api.call("DELETE", "keys", "x") is None


def test_a_query_is_encoded(server: Answering) -> None:
    server.answer("GET", "/admin/v1/usage?tag=a%3Db+c", {"data": []})
    assert AdminApi(server.url, ADMIN_KEY).call("GET", "usage", query={"tag": "a=b c"}) == {"data": []}


def test_a_page_is_what_was_sent_and_where_to_go_on(server: Answering) -> None:
    server.answer("GET", "/admin/v1/ledger?format=csv", b"a\r\n", x_gateway_next_cursor="17-0")
    server.answer("GET", "/admin/v1/ledger?cursor=17-0", b"")
    api = AdminApi(server.url, ADMIN_KEY)
    assert api.page("ledger", query={"format": "csv"}) == (b"a\r\n", "17-0")
    assert api.page("ledger", query={"cursor": "17-0"}) == (b"", "")


def test_a_wrong_key_is_told_where_the_right_one_goes(server: Answering) -> None:
    server.answer("GET", "/admin/v1/keys", {"error": {"message": "Incorrect"}}, 401)
    assert "GATEWAY_ADMIN_KEY" in failure(server)


def test_the_apis_own_words_are_passed_on(server: Answering) -> None:
    server.answer("GET", "/admin/v1/keys", {"error": {"message": "There is no such team."}}, 400)
    assert failure(server) == "There is no such team."


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (500, b"oops"), (404, b"[]"), (302, b"")])
def test_a_stranger_is_recognised(server: Answering, status: int, body: bytes) -> None:
    server.answer("GET", "/admin/v1/keys", body, status, location="http://127.0.0.1:1/")
    assert "Is it the admin listener" in failure(server)
    assert len(server.requests) == 1


def test_the_public_listener_is_recognised(server: Answering) -> None:
    error = {"error": {"message": "Unknown URL."}}
    server.answer("GET", "/admin/v1/keys", error, 404, x_gateway_error="unknown_url")
    assert "Is it the admin listener" in failure(server)


def test_what_is_not_there_can_be_told_apart(server: Answering) -> None:
    error = {"error": {"message": "There is no such key."}}
    server.answer("GET", "/admin/v1/keys/x", error, 404, x_gateway_error="key_not_found")
    with pytest.raises(NotFound, match="no such key"):
        AdminApi(server.url, ADMIN_KEY).call("GET", "keys", "x")


def test_it_does_not_show_its_key() -> None:
    assert "canary" not in repr(AdminApi("http://h", ADMIN_KEY))
