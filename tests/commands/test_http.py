"""One HTTP exchange of a command: what goes out, and how each failure reads."""

import socket

import click
import pytest

from gateway.commands.http import error_of, exchange, message_of
from tests.commands.conftest import Answering


def refused(url: str, key: str = "sk-canary", timeout: float = 5.0) -> click.ClickException:
    with pytest.raises(click.ClickException) as error, exchange("GET", url, key, timeout=timeout):
        pass
    assert "canary" not in error.value.message
    return error.value


def test_the_body_is_json_and_the_key_a_bearer(server: Answering) -> None:
    server.answer("POST", "/a/b", {"fine": True})
    with exchange("POST", f"{server.url}/a/b", "sk-x", {"é": 1}, timeout=5) as response:
        assert response.status == 200
        assert message_of(response) is None
    assert server.requests == [("POST", "/a/b", "Bearer sk-x", {"é": 1})]


def test_proxies_are_left_aside(server: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with exchange("GET", f"{server.url}/", "sk-x", timeout=5) as response:
        assert message_of(response) == "There is no such thing."


def test_the_gateways_own_refusals_carry_their_code(server: Answering) -> None:
    server.answer("GET", "/a", {}, 404, x_gateway_error="unknown_url")
    server.answer("GET", "/b", {})
    with exchange("GET", f"{server.url}/a", "sk-x", timeout=5) as response:
        assert error_of(response) == "unknown_url"
    with exchange("GET", f"{server.url}/b", "sk-x", timeout=5) as response:
        assert error_of(response) == ""


def test_an_address_is_shown_as_it_was_given() -> None:
    assert "127.0.0.1:8081 is no address" in refused("user:canary@127.0.0.1:8081/admin/v1/keys").message


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = refused(f"http://user:canary@127.0.0.1:{taken.getsockname()[1]}/x?canary")
    assert "gateway serve" in error.message
    assert error.exit_code == 1


def test_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.05)
    assert "did not answer within 0.05 seconds" in error.message


def test_no_such_host() -> None:
    assert "cannot be reached" in refused("http://nobody.invalid/").message


def test_it_is_no_http(server: Answering) -> None:
    assert "cannot be reached" in refused(server.url.replace("http", "https")).message


@pytest.mark.parametrize("url", ["", "127.0.0.1:8081", "ftp://h", "http://", "http://h:99999", "http://[::"])
def test_a_bad_address_is_wrong_use(url: str) -> None:
    assert refused(url).exit_code == 2


@pytest.mark.parametrize("key", ["sk-canary\r\nx: y", "sk canary", "sk-cänary"])
def test_a_bad_key_is_wrong_use_and_never_shown(server: Answering, key: str) -> None:
    error = refused(server.url, key)
    assert error.exit_code == 2
    assert "nary" not in error.message
    assert server.requests == []
