"""The admin API as the commands see it: JSON in, JSON out, and every failure said in words."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import click

from gateway.commands.http import error_of, exchange, message_of

_TIMEOUT = 15.0
_NEXT = "x-gateway-next-cursor"


class NotFound(click.ClickException):
    """There is no such thing on this gateway."""


class Page(NamedTuple):
    """A part of a long answer, as it came; `next` is the cursor of the following part, "" at the end."""

    body: bytes
    next: str


class AdminApi:
    """`url` is the admin listener, `key` the admin key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def call(
        self,
        method: str,
        *path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        timeout: float = _TIMEOUT,
    ) -> Any:
        """Call `/admin/v1/<path>` and return the JSON of the answer; None when it has none.

        `timeout` is in seconds. Raises NotFound, or another ClickException with what went wrong and what to
        do about it.
        """
        text = self._answer(method, path, body, query, timeout).body
        try:
            return json.loads(text) if text else None
        except ValueError:
            raise click.ClickException(self._stranger("something that is not JSON")) from None

    def page(self, *path: str, query: Mapping[str, str]) -> Page:
        """GET what is not JSON. Raises as `call` does."""
        return self._answer("GET", path, None, query, _TIMEOUT)

    def _answer(
        self,
        method: str,
        path: tuple[str, ...],
        body: object,
        query: Mapping[str, str] | None,
        timeout: float,
    ) -> Page:
        url = "/".join((self._url, "admin", "v1", *(quote(part, safe="") for part in path)))
        if query:
            url += "?" + urlencode(query)
        with exchange(method, url, self._key, body, timeout=timeout) as response:
            if not 200 <= response.status < 300:
                raise self._failure(response.status, error_of(response), message_of(response))
            return Page(response.read(), response.getheader(_NEXT) or "")

    def _failure(self, status: int, code: str, message: str | None) -> click.ClickException:
        if status == 401:
            return click.ClickException(
                "the admin key is not right. GATEWAY_ADMIN_KEY is to be the key of this gateway's admin API."
            )
        if message is None or code == "unknown_url":
            return click.ClickException(self._stranger(f"status {status}"))
        return NotFound(message) if status == 404 else click.ClickException(message)

    def _stranger(self, answer: str) -> str:
        return (
            f"{self._url} answered {answer}, as no admin API does. "
            "Is it the admin listener (port 8081), without a path?"
        )

    def __repr__(self) -> str:
        return f"<AdminApi {self._url}>"
