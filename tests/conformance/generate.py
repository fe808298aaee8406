"""A valid request for an operation of the description, the same one for the same seed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from urllib.parse import quote

from tests.conformance.specification import Operation, Schema
from tests.conformance.values import Binary, flatten, value

BOUNDARY: Final = "----conformance-7MA4YWxkTrZu0gW"
SDP: Final = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
# Every byte there is: what is not text must arrive as it was.
FILE: Final = bytes(range(256)) + b"\r\n--" + BOUNDARY[:12].encode() + b"\r\n"
STREAMED: Final = "text/event-stream"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent; `target` is below the API's root. The headers without Host, Authorization and lengths."""

    method: str
    target: str
    headers: Headers
    body: bytes | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Case:
    """An operation, asked in one way: with a body of this type, or for a stream."""

    operation: Operation
    media: str | None = None
    stream: bool = False

    def __str__(self) -> str:
        more = self.media.rpartition("/")[2] if self.media and self.media != first(self.operation) else ""
        return "-".join(filter(None, (self.operation.name, more, "stream" if self.stream else "")))


def first(operation: Operation) -> str | None:
    """The type of body that the description names first."""
    return next(iter(operation.bodies), None)


def plain(operation: Operation) -> Case:
    return Case(operation, first(operation))


def variants(operation: Operation) -> Iterator[Case]:
    """The other ways to ask."""
    for media in list(operation.bodies)[1:]:
        yield Case(operation, media)
    if operation.streams:
        yield Case(operation, first(operation), stream=True)


def request(case: Case, seed: int) -> Request:
    """Raises `values.Unsupported` where the description says something new."""
    operation = case.operation
    random = Random(f"{seed} {case}")
    path = operation.path
    query: list[str] = []
    headers = [("accept", STREAMED if case.stream else "application/json")]
    for parameter in operation.parameters:
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", _path_value(parameter, random))
        elif parameter.get("required") or random.random() < 0.6:
            if parameter["in"] == "query":
                query += _query(parameter, random)
            elif parameter["in"] == "header":
                headers.append((parameter["name"], ",".join(value(parameter["schema"], random))))
    body = _body(case, random)
    if case.media is not None and body is not None:
        headers.append(("content-type", _content_type(case.media)))
    target = path + (("&" if "?" in path else "?") + "&".join(query) if query else "")
    return Request(operation.method, target, tuple(headers), body)


def _path_value(parameter: Schema, random: Random) -> str:
    """An id as OpenAI makes them; a fine-tuned model's name has colons."""
    flat = flatten(parameter["schema"], random, 0)
    if "enum" in flat:
        return str(random.choice(flat["enum"]))
    if parameter["name"] == "model":
        return "ft:gpt-4o-mini:my-org:a_name:abc123"
    return f"{parameter['name'].removesuffix('_id')}-{random.randrange(16**8):08x}"


def _query(parameter: Schema, random: Random) -> Iterator[str]:
    """The parameter as its style says (OpenAPI 3.1, 4.8.12); the default is `form`, exploded.

    Objects go with brackets whatever the style: so OpenAI's API reads them, and so its clients write them.
    Brackets in a name go as they are or percent-encoded: both are in use.
    """
    name = parameter["name"]
    made = value(parameter["schema"], random)
    if isinstance(made, dict):
        pairs = [(f"{name}[{key}]", one) for key, one in made.items()]
    elif isinstance(made, list):
        pairs = [(name, one) for one in made]
        if not parameter.get("explode", True):
            pairs = [(name, ",".join(map(_plain, made)))]
    else:
        pairs = [(name, made)]
    safe = random.choice(["", "[]"])
    for key, one in pairs:
        yield f"{quote(key, safe=safe)}={quote(_plain(one), safe='')}"


def _plain(made: Any) -> str:
    return made if isinstance(made, str) else json.dumps(made)


def _content_type(media: str) -> str:
    return f"{media}; boundary={BOUNDARY}" if media.startswith("multipart/") else media


def _body(case: Case, random: Random) -> bytes | None:
    said = case.operation.bodies.get(case.media or "")
    if said is None:
        return None
    if case.media == "application/sdp":
        return SDP
    if case.media == "multipart/form-data":
        return b"".join(_parts(case, said, random)) + f"--{BOUNDARY}--\r\n".encode()
    made = value(said["schema"], random)
    if case.stream:
        _ask_for_stream(made, flatten(said["schema"], random, 0))
    # Spaces and escapes that no re-serialisation would bring back.
    return json.dumps(made, indent=random.choice([None, 1]), ensure_ascii=random.random() < 0.5).encode()


def _ask_for_stream(made: dict[str, Any], schema: Schema) -> None:
    """With its usage, where that is asked for: a gateway that has to count would ask for it itself."""
    properties = schema["properties"]
    made |= {"stream": True} if "stream" in properties else {"stream_format": "sse"}
    options = flatten(properties.get("stream_options", {}), Random(0), 0)
    if "include_usage" in options.get("properties", {}):
        made["stream_options"] = {"include_usage": True}


def _parts(case: Case, said: Mapping[str, Any], random: Random) -> Iterator[bytes]:
    flat = flatten(said["schema"], random, 0)
    made = value(flat, random)
    if case.stream:
        _ask_for_stream(made, flat)
    for name, one in made.items():
        encoding = said.get("encoding", {}).get(name, {}).get("contentType")
        for key, item in _items(name, one, encoding):
            yield _part(key, item, encoding)


def _items(name: str, made: Any, encoding: str | None) -> Iterator[tuple[str, Any]]:
    """A form's parts for one property: an array has many, an object has brackets unless it is encoded."""
    if isinstance(made, list):
        for item in made:
            yield from _items(name, item, encoding)
    elif isinstance(made, dict) and encoding is None:
        for key, item in made.items():
            yield from _items(f"{name}[{key}]", item, encoding)
    else:
        yield name, made


def _part(name: str, item: Any, encoding: str | None) -> bytes:
    is_file = isinstance(item, Binary)
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
    if is_file:
        head += '; filename="a file.bin"\r\nContent-Type: application/octet-stream'
    elif encoding is not None:
        head += f"\r\nContent-Type: {encoding}"
    data = FILE if is_file else _plain(item).encode()
    return head.encode() + b"\r\n\r\n" + data + b"\r\n"
