"""Single requests beside the load: is it ready, and does it do what its row says?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from bench import chat


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    cache: str | None  # the value of `x-gateway-cache`
    body: bytes


def answers(port: int, path: str) -> bool:
    """Whether GET `path` is answered with 200."""
    try:
        return _ask(port, "GET", path).status == 200
    except (OSError, HTTPException):
        return False


def ask(port: int, number: str, further: Mapping[str, str] = chat.NOTHING) -> Answer:
    """One chat completion for the prompt of that number. Raises OSError or HTTPException."""
    return _ask(port, "POST", chat.PATH, chat.body(number), further)


def answers_chat(port: int, further: Mapping[str, str]) -> bool:
    """Whether a completion is answered with 200."""
    try:
        return ask(port, "0" * 16, further).status == 200
    except (OSError, HTTPException):
        return False


def stream_status(port: int, further: Mapping[str, str]) -> int:
    """The status of a short streamed completion. Raises OSError or HTTPException."""
    return _ask(port, "POST", chat.PATH, chat.streamed("0" * 16, 3, 100), further).status


def asked(upstream: int) -> int:
    """How many completions the scripted upstream has been asked for so far."""
    return int(json.loads(_ask(upstream, "GET", "/stats").body)["requests"])


def _ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    further: Mapping[str, str] = chat.NOTHING,
) -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Authorization": f"Bearer {chat.KEY}", "Content-Type": "application/json", **further}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers["x-gateway-cache"], response.read())
    finally:
        connection.close()
