"""Forms (multipart/form-data), read from a body that is there whole."""

import re
from typing import Any

from aiohttp import web

BOUNDARY = re.compile(r'boundary="?([^";]+)')
_NAME = re.compile(rb'[; ]name="([^"]*)"')
_FILENAME = re.compile(rb'filename="([^"]*)"')

File = tuple[str, bytes]


async def form(request: web.Request) -> dict[str, Any]:
    """The fields by name: texts, and `(filename, data)`; of many under one name, a list."""
    boundary = BOUNDARY.search(request.headers["content-type"])
    assert boundary is not None
    fields: dict[str, Any] = {}
    for part in (b"\r\n" + await request.read()).split(f"\r\n--{boundary[1]}".encode())[1:-1]:
        name, value = _field(part.removeprefix(b"\r\n"))
        fields.setdefault(name, []).append(value)
    return {name: many[0] if len(many) == 1 else many for name, many in fields.items()}


def _field(part: bytes) -> tuple[str, str | File]:
    head, _, data = part.partition(b"\r\n\r\n")
    name, filename = _NAME.search(head), _FILENAME.search(head)
    assert name is not None
    return name[1].decode(), data.decode() if filename is None else (filename[1].decode(), data)
