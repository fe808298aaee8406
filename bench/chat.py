"""The chat completion that the load generators ask: one key, one path, a body of about 300 bytes."""

import secrets
from collections.abc import Mapping
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})
KEY = f"sk-gw-{secrets.token_hex(8)}-{secrets.token_hex(24)}"
PATH = "/v1/chat/completions"

_PROMPT = "Write one sentence about the harbour, the tide and the lights of the town in the evening."


def body(number: str, stream: str = "") -> bytes:
    """A request body, unique for each `number`; `stream` is put in as further members."""
    return (
        '{"model": "gpt-4o-mini", "messages": [{"role": "system", "content": "Answer in plain English."}, '
        f'{{"role": "user", "content": "{number} {_PROMPT}"}}], "max_completion_tokens": 64, '
        f'"temperature": 0, "seed": 7{stream}}}'
    ).encode()


def streamed(number: str, events: int, rate: float, *, clocked: bool = False) -> bytes:
    """The same, asking the scripted upstream for that many events at that many a second.

    `clocked`: each event shall say when it left. All that is written into the prompt: it is what every
    gateway passes on.
    """
    return body(
        f"{number} [events={events} rate={rate:g}{' clocked' if clocked else ''}]", ', "stream": true'
    )


def head(port: int, length: int, further: Mapping[str, str] = NOTHING) -> bytes:
    """The head of the request whose body has that length in bytes, with `further` fields."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in further.items())
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nAccept: */*\r\n{fields}Content-Length: {length}\r\n\r\n"
    ).encode()
