"""Messages between the supervisor and one worker, over a pair of sockets."""

import asyncio
import contextlib
import socket
from typing import Any, Generic, TypeVar

import msgspec

from gateway.workers.messages import FromWorker, ToWorker

_HEAD = 4  # bytes that say how long the message is, big end first

In = TypeVar("In")
Out = TypeVar("Out")


class Channel(Generic[In, Out]):
    """`supervisors` or `workers` end. What is sent is queued, and never waited for."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decoder: "msgspec.msgpack.Decoder[In]",
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decode = decoder.decode
        self._encode = msgspec.msgpack.Encoder(enc_hook=float).encode  # durations, of an upstream

    def send(self, message: Out) -> None:
        """Nothing happens where the other end is gone: `receive` says so."""
        data = self._encode(message)
        self._writer.write(len(data).to_bytes(_HEAD, "big") + data)

    async def receive(self) -> In | None:
        """The next message; None: there will be no more."""
        try:
            head = await self._reader.readexactly(_HEAD)
            return self._decode(await self._reader.readexactly(int.from_bytes(head, "big")))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def flush(self) -> None:
        """Wait until the kernel has what was sent, or the other end is gone."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def close(self) -> None:
        self._writer.close()

    def __repr__(self) -> str:
        return f"<Channel {'closing' if self._writer.is_closing() else 'open'}>"


def _decoder(messages: Any) -> "msgspec.msgpack.Decoder[Any]":
    return msgspec.msgpack.Decoder(messages, dec_hook=lambda kind, number: kind(number))


async def supervisors(end: socket.socket) -> Channel[FromWorker, ToWorker]:
    return Channel(*await asyncio.open_unix_connection(sock=end), _decoder(FromWorker))


async def workers(end: socket.socket) -> Channel[ToWorker, FromWorker]:
    return Channel(*await asyncio.open_unix_connection(sock=end), _decoder(ToWorker))
