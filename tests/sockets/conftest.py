"""A gateway in front of a scripted realtime upstream, and ends of sessions that do as they are told."""

import asyncio
from typing import Any

from gateway.exchange import Exchange
from gateway.policy.endpoints import find
from gateway.sockets.ends import Close, Message
from tests.exchanges import ended
from tests.running import Running
from tests.sessions import Begin, begin, up

__all__ = ["Begin", "begin", "up"]


class End:
    """An end of a session: `say` is what its peer says, `sent` what it was sent."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Message | Close] = asyncio.Queue()
        self.sent: list[Message] = []
        self.closed: list[Close] = []

    def say(self, *said: bytes | Close) -> None:
        for each in said:
            self.inbox.put_nowait(each if isinstance(each, Close) else Message(each))

    async def receive(self) -> Message | Close:
        return await self.inbox.get()

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def close(self, close: Close) -> None:
        if not self.closed:
            self.closed.append(close)


def session_of(gateway: Running, path: str = "/v1/realtime", **changes: Any) -> Exchange:
    """The record of a session that has just been opened."""
    endpoint, args = find("GET", path, upgrade=True)
    clock = gateway.gateway.clock
    fresh: dict[str, Any] = {
        "path_args": args,
        "client": gateway.gateway.clients.client("test"),
        "facts": None,
        "sent_model": "gpt-realtime",
        "dispatched": False,
        "upstream": "scripted",
        "usage": None,
        "cache": "bypass",
        "started": clock.monotonic(),
        "arrived": clock.now(),
        "first_byte": None,
        "finished": None,
    }
    made = ended(**fresh | changes)
    made.endpoint = endpoint
    return made
