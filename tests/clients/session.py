"""A client's whole programme, once directly and once through a gateway."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.clients.server import Server, serving
from tests.running import KEY, configuration, running

# Plays every case against this base URL, with this key; the results by case.
Play = Callable[[str, str], Awaitable[dict[str, Any]]]

EVERYTHING: Final = """
[endpoints]
allow = ["all"]
"""
# The gateway knows that this one is nobody's: it says so itself.
_NOT_ASKED: Final = "/v1/files/file-of-nobody"


@dataclass(frozen=True, slots=True)
class Played:
    """What the client was told, and what the server received."""

    results: dict[str, Any]
    received: list[dict[str, Any]]


async def directly(play: Play) -> Played:
    async with serving() as server:
        return await _played(play, server.base_url, server)


async def through_a_gateway(play: Play, folder: Path) -> Played:
    """With the gateway's defaults, but for the endpoints that it serves."""
    async with serving() as server:
        text = configuration(server.base_url, folder / "data", EVERYTHING)
        async with running(text, folder) as gateway:
            return await _played(play, gateway.url + "/v1", server)


async def _played(play: Play, base_url: str, server: Server) -> Played:
    results = await play(base_url, KEY)
    return Played(results, [one for one in server.received() if one["path"] != _NOT_ASKED])
