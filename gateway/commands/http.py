"""One HTTP exchange, without an event loop and without proxies: a gateway is reached directly."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import click

_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


@contextmanager
def exchange(
    method: str, url: str, key: str, body: object = None, *, timeout: float
) -> Iterator[http.client.HTTPResponse]:
    """Send `body` as JSON with `key` as the bearer token, and hand out the response, whatever its status.

    Redirects are not followed: the key goes where it was meant to go. `timeout` is in seconds, for each
    read. Raises ClickException when nobody answers, UsageError for a bad `url` or `key`.
    """
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise click.UsageError("the key has characters in it that no key has; was it pasted whole?")
    connection, path = _connection(url, timeout)
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json, text/event-stream"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        yield connection.getresponse()
    except ConnectionRefusedError:
        raise click.ClickException(
            f"nothing listens at {_origin(url)}. Start the gateway with `gateway serve`, or say where it is."
        ) from None
    except TimeoutError:
        raise click.ClickException(f"{_origin(url)} did not answer within {timeout:g} seconds.") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise click.ClickException(f"{_origin(url)} cannot be reached: {reason}.") from None
    finally:
        connection.close()


def error_of(response: http.client.HTTPResponse) -> str:
    """The code with which the gateway itself refuses; empty for all other answers."""
    return response.getheader("x-gateway-error") or ""


def message_of(response: http.client.HTTPResponse) -> str | None:
    """The sentence in an answer of OpenAI's error shape; None when it has another."""
    try:
        document: Any = json.loads(response.read())
        message = document["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return message if isinstance(message, str) else None


def _connection(url: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    try:
        parts = urlsplit(url)
        kind, host, port = _CONNECTIONS[parts.scheme], parts.hostname, parts.port
    except (ValueError, KeyError):
        host = None
    if not host:
        raise click.UsageError(f"{_origin(url)} is no address: write one such as http://127.0.0.1:8081")
    return kind(host, port, timeout=timeout), f"{parts.path}?{parts.query}" if parts.query else parts.path


def _origin(url: str) -> str:
    """The address as it may be shown: without path, query and credentials."""
    scheme, _, rest = url.partition("://")
    host = (rest or url).partition("/")[0].rpartition("@")[2]
    return f"{scheme}://{host}" if rest else host
