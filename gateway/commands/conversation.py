"""A chat with a model over the gateway's public API: questions in, text out as it comes."""

import json
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import click

from gateway.commands.http import error_of, exchange, message_of
from gateway.policy.sse import Splitter, data

DEFAULT_MODEL = "gpt-4o-mini"
_TIMEOUT = 600.0  # a model may think for that long before its first word
_LIST_TIMEOUT = 30.0


def default_model(base_url: str, key: str) -> str:
    """A model to talk to: the usual one if it is served, or else the first that is. Raises ClickException."""
    with exchange("GET", f"{base_url}/models", key, timeout=_LIST_TIMEOUT) as response:
        if response.status != 200:
            raise click.ClickException(_failure(response))
        text = response.read()
    try:
        served = [str(model["id"]) for model in json.loads(text)["data"]]
    except (ValueError, KeyError, TypeError):
        served = []
    return served[0] if served and DEFAULT_MODEL not in served else DEFAULT_MODEL


class Conversation:
    """The messages so far, with `model`. `origin` says where the last answer came from."""

    def __init__(self, base_url: str, key: str, model: str) -> None:
        self.model = model
        self.origin = ""
        self._url = f"{base_url}/chat/completions"
        self._key = key
        self._messages: list[dict[str, str]] = []

    def ask(self, question: str) -> Iterator[str]:
        """The answer, piece by piece. It joins the conversation when it is whole.

        Raises ClickException when the gateway or the model refuses, and when the answer is cut off.
        """
        messages = [*self._messages, {"role": "user", "content": question}]
        body = {"model": self.model, "messages": messages, "stream": True}
        answer = []
        with exchange("POST", self._url, self._key, body, timeout=_TIMEOUT) as response:
            if response.status != 200:
                raise click.ClickException(_failure(response))
            self.origin = _origin(response)
            for text in _texts(response):
                answer.append(text)
                yield text
        self._messages = [*messages, {"role": "assistant", "content": "".join(answer)}]

    def __repr__(self) -> str:
        return f"<Conversation {self.model} {len(self._messages)} messages>"


def _texts(response: HTTPResponse) -> Iterator[str]:
    splitter, whole = Splitter(), False
    # To the very end, beyond [DONE]: who hangs up there looks like one who has left.
    while chunk := response.read1(65536):
        for event in splitter.feed(chunk):
            payload = data(event)
            whole = whole or payload == b"[DONE]"
            if payload and not whole:
                yield _delta(payload)
    if not whole:
        raise click.ClickException("the answer was cut off.")


def _delta(payload: bytes) -> str:
    """The text in one event of a stream. Raises ClickException when the event is an error."""
    try:
        event: Any = json.loads(payload)
        if event.get("error"):
            raise click.ClickException(str(event["error"].get("message")))
        return event["choices"][0]["delta"].get("content") or ""
    except (ValueError, KeyError, IndexError, AttributeError, TypeError):
        return ""  # usage, or something new


def _origin(response: HTTPResponse) -> str:
    names = (("cache", "x-gateway-cache"), ("upstream", "x-gateway-upstream"), ("cost", "x-gateway-cost"))
    parts = [f"{name}: {value}" for name, header in names if (value := response.getheader(header))]
    return f"({', '.join(parts)})" if parts else ""


def _failure(response: HTTPResponse) -> str:
    message = message_of(response)
    if message is None or error_of(response) == "unknown_url":
        return f"status {response.status}, and not as the API answers. Is --base-url right? It ends in /v1."
    wait = response.getheader("retry-after")
    return f"{message} (try again in {wait} s)" if wait else message
