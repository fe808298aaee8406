"""`gateway login` and `gateway logout`, as they are typed."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result

from openai_secret_manager import get_secret
from tests.commands.conftest import CLIENT_KEY, Answering, Call
from tests.logins import mode, newcomer
from tests.running import KEY, configuration
from tests.scripted import Scripted
from tests.served import served

ME = "/gateway/me"
ALICE = {"id": "abcdef", "name": "alice", "team": "research", "limits": []}
NO_VARIABLE = {"GATEWAY_API_KEY": None, "GATEWAY_BASE_URL": None}


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return newcomer(monkeypatch, tmp_path)


def login(call: Call, server: Answering, *more: str, typed: str = CLIENT_KEY) -> Result:
    return call(
        "login", "--base-url", f"{server.url}/v1", "--api-key", "-", *more, typed=typed, **NO_VARIABLE
    )


def test_the_key_is_checked_kept_and_found_by_programs(file: Path, server: Answering, call: Call) -> None:
    server.answer("GET", ME, ALICE)
    result = login(call, server, typed=f"{CLIENT_KEY}\n")
    assert result.exit_code == 0
    shown = [line.split()[-1] for line in result.stdout.splitlines()]
    assert shown == [f"{server.url}/v1", "alice", "abcdef", "research", str(file)]
    assert server.requests == [("GET", ME, f"Bearer {CLIENT_KEY}", None)]
    assert get_secret("openai") == {"api_key": CLIENT_KEY, "api_base": f"{server.url}/v1"}
    assert mode(file) == 0o600


def test_it_is_forgotten(file: Path, server: Answering, call: Call) -> None:
    server.answer("GET", ME, ALICE)
    login(call, server)
    assert call("logout").stdout == "The key is forgotten.\n"
    assert not file.exists()
    result = call("logout")
    assert (result.exit_code, result.stdout) == (0, "There is no key to forget.\n")


def test_a_prefix_before_v1_is_kept(file: Path, server: Answering, call: Call) -> None:
    server.answer("GET", "/team" + ME, ALICE)
    result = call("login", "--api-key", "-", typed=CLIENT_KEY, GATEWAY_BASE_URL=f"{server.url}/team/v1/")
    assert result.exit_code == 0
    assert get_secret("openai")["api_base"] == f"{server.url}/team/v1"
    # The key of the environment, which `call` sets, hides the one that was just kept.
    assert "GATEWAY_API_KEY is set" in result.stderr


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (401, {"x_gateway_error": "invalid_api_key"}, "does not accept this key"),
        (403, {"x_gateway_error": "address_not_allowed"}, "Not from there."),
        (404, {"x_gateway_error": "unknown_url"}, "not as a gateway answers"),
        (401, {}, "status 401, and not as a gateway answers"),
        (307, {"location": "http://127.0.0.1:9/"}, "status 307"),
    ],
)
def test_a_key_that_is_not_accepted_is_not_kept(
    file: Path, server: Answering, call: Call, status: int, headers: dict[str, str], said: str
) -> None:
    server.answer("GET", ME, {"error": {"message": "Not from there."}}, status, **headers)
    result = login(call, server)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not file.exists()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_something_else_than_a_gateway_is_noticed(
    file: Path, server: Answering, call: Call, body: bytes
) -> None:
    server.answer("GET", ME, body)
    result = login(call, server)
    assert (result.exit_code, "as no gateway does" in result.stderr) == (1, True)
    assert not file.exists()


def test_it_can_be_kept_without_asking(file: Path, server: Answering, call: Call) -> None:
    result = login(call, server, "--no-check")
    assert result.exit_code == 0
    assert server.requests == []
    assert get_secret("openai")["api_key"] == CLIENT_KEY


@pytest.mark.parametrize("typed", ["", "\n", "two words", f"{CLIENT_KEY}\n{CLIENT_KEY}", "clé"])
def test_what_can_be_no_key_goes_nowhere(file: Path, server: Answering, call: Call, typed: str) -> None:
    result = login(call, server, typed=typed)
    assert (result.exit_code, "that is no key" in result.stderr) == (2, True)
    assert server.requests == []
    assert not file.exists()


def test_a_key_on_the_command_line_is_refused_unquoted(file: Path, call: Call) -> None:
    result = call("login", "--api-key", CLIENT_KEY)
    assert (result.exit_code, "kept by the shell" in result.stderr) == (2, True)
    assert not file.exists()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "127.0.0.1:8080/v1", "ftp://x/v1", "http://u:p@x/v1", "http://x/v1?a=b"]
)
def test_an_address_that_is_none_is_told_how_one_looks(file: Path, call: Call, url: str) -> None:
    result = call("login", "--base-url", url, "--api-key", "-", typed=CLIENT_KEY)
    assert (result.exit_code, "ends in /v1" in result.stderr) == (2, True)


def test_without_a_terminal_nobody_is_asked(file: Path, call: Call) -> None:
    result = call("login")
    assert (result.exit_code, "--api-key -" in result.stderr) == (2, True)


def test_a_folder_that_cannot_be_written_is_told(file: Path, server: Answering, call: Call) -> None:
    file.parent.write_text("a file where the folder should be")
    result = login(call, server, "--no-check")
    assert (result.exit_code, f"{file.parent}: File exists." in result.stderr) == (1, True)


def test_the_key_is_typed_unseen(file: Path, server: Answering) -> None:
    server.answer("GET", ME, ALICE)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "login", "--base-url", f"{server.url}/v1"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        # The terminal's echo is off before the question is written.
        while b"Client key" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, f"{CLIENT_KEY}\n".encode())
        assert process.wait(60) == 0
        while b"login.json" not in shown:
            shown += os.read(ours, 4096)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"alice" in shown
    assert b"canary" not in shown
    assert json.loads(file.read_text())["api_key"] == CLIENT_KEY


async def test_a_real_gateway_knows_whose_key_it_is(file: Path, upstream: Scripted, tmp_path: Path) -> None:
    config = configuration(upstream.base_url, tmp_path / "data")
    async with served(tmp_path, config=config) as running:
        for key, code, said in ((KEY, 0, "test"), ("sk-gw-abcdef-wrong0123456789", 1, "does not accept")):
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "gateway",
                    "login",
                    "--base-url",
                    f"{running.url}/v1",
                    "--api-key",
                    "-",
                ),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            out, _ = await process.communicate(key.encode())
            assert (process.returncode, said in out.decode()) == (code, True), out.decode()
        # What was refused has not taken the place of what was accepted.
        assert get_secret("openai") == {"api_key": KEY, "api_base": f"{running.url}/v1"}
