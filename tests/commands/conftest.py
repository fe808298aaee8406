"""A server that answers as it is told, and the command line as a person calls it."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

ADMIN_KEY = "sk-gw-admin-canary0123456789"
CLIENT_KEY = "sk-gw-abcdef-canary0123456789"


Answer = tuple[int, dict[str, str], bytes]


class Answering(ThreadingHTTPServer):
    """Answers by `answers[(method, path)]`: status, headers, body. Keeps what it was sent in `requests`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[tuple[str, str], Answer] = {}
        self.requests: list[tuple[str, str, str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, path: str, body: object, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[method, path] = status, named, data


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        key = self.headers.get("authorization", "")
        self.server.requests.append((self.command, self.path, key, json.loads(body) if body else None))
        missing: Answer = (404, {}, b'{"error": {"message": "There is no such thing."}}')
        status, headers, answer = self.server.answers.get((self.command, self.path), missing)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815  # http.server wants these names

    def log_message(self, *args: object) -> None:
        """Nothing: the tests read `requests`."""


@pytest.fixture
def server() -> Iterator[Answering]:
    with Answering() as answering:
        thread = threading.Thread(target=answering.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield answering
        answering.shutdown()
        thread.join()


Call = Callable[..., Result]


@pytest.fixture
def call(server: Answering) -> Call:
    """`call("keys", "list", GATEWAY_ADMIN_KEY=None)`; keys and addresses are set if not told otherwise."""
    usual = {
        "GATEWAY_ADMIN_KEY": ADMIN_KEY,
        "GATEWAY_ADMIN_URL": server.url,
        "GATEWAY_API_KEY": CLIENT_KEY,
        "GATEWAY_BASE_URL": f"{server.url}/v1",
    }

    def _call(*arguments: str, typed: str = "", **environ: str | None) -> Result:
        result = CliRunner().invoke(
            main, arguments, input=typed, env={**usual, **environ}, prog_name="gateway"
        )
        assert "canary" not in result.output
        return result

    return _call
