"""The admin API as the commands see it: JSON in, JSON out, and every failure said in words."""

import json
from typing import Any
from urllib.parse import quote

import click

from gateway.commands.http import error_of, exchange, message_of

_TIMEOUT = 15.0


class NotFound(click.ClickException):
    """There is no such thing on this gateway."""


class AdminApi:
    """`url` is the admin listener, `key` the admin key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def call(self, method: str, *path: str, body: object = None) -> Any:
        """Call `/admin/v1/<path>` and return the JSON of the answer; None when it has none.

        Raises NotFound, or another ClickException with what went wrong and what to do about it.
        """
        url = "/".join((self._url, "admin", "v1", *(quote(part, safe="") for part in path)))
        with exchange(method, url, self._key, body, timeout=_TIMEOUT) as response:
            if not 200 <= response.status < 300:
                raise self._failure(response.status, error_of(response), message_of(response))
            text = response.read()
        try:
            return json.loads(text) if text else None
        except ValueError:
            raise click.ClickException(self._stranger("something that is not JSON")) from None

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
