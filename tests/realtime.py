"""The upstream of the WebSocket tests: a small believable OpenAI on `/v1/realtime` and `/v1/responses`.

Each `response.create` is answered by a whole response with its usage, which `billed` adds up as the provider
would. `hold` keeps responses unfinished until it is set, or until they are cancelled.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

from tests.waiting import until

Usage = tuple[int, int]  # tokens in and out


class Realtime:
    """`usage` says what the response of that number (from 1) costs; `refusal` answers handshakes instead."""

    def __init__(self) -> None:
        self.port = 0
        self.handshakes: list[tuple[str, dict[str, str]]] = []
        self.received: list[dict[str, Any]] = []
        self.binary: list[bytes] = []
        self.billed: list[Usage] = []
        self.cancelled = 0
        self.closes: list[tuple[int | None, str]] = []
        self.hold: asyncio.Event | None = None
        self.usage: Callable[[int], Usage] = lambda number: (number * 10, number)
        self.refusal: web.Response | None = None
        self.sockets: set[web.WebSocketResponse] = set()
        self.session: dict[str, Any] = {"type": "realtime", "model": "gpt-realtime", "id": "sess_1"}
        self._number = 0
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.BaseTransport] = set()

    async def __aenter__(self) -> Self:
        self._server = web.Server(self._serve, access_log=None)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        for task in self._tasks:
            task.cancel()
        await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def cut(self) -> None:
        """Break all connections off."""
        for transport in self._transports:
            transport.abort()  # type: ignore[attr-defined]

    def types(self) -> list[str]:
        """Of the events that have arrived."""
        return [event.get("type", "") for event in self.received]

    async def until(self, condition: Callable[[], bool]) -> None:
        await until(condition)

    async def say(self, event: dict[str, Any]) -> None:
        """To everybody who is connected."""
        for socket in list(self.sockets):
            await socket.send_json(event)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.handshakes.append((request.path_qs, {key.lower(): v for key, v in request.headers.items()}))
        if self.refusal is not None:
            return self.refusal
        socket = web.WebSocketResponse(max_msg_size=2**25, compress=False, autoclose=True)
        await socket.prepare(request)
        assert request.transport is not None
        self._transports.add(request.transport)
        self.sockets.add(socket)
        spoken = request.path.endswith("/realtime")
        if spoken:
            await socket.send_json({"type": "session.created", "event_id": "e0", "session": self.session})
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    self.binary.append(message.data)
                    await socket.send_bytes(message.data)
                elif message.type is WSMsgType.TEXT:
                    await self._read(socket, message.data, spoken)
        finally:
            self.sockets.discard(socket)
            self.closes.append((socket.close_code, ""))
        return socket

    async def _read(self, socket: web.WebSocketResponse, text: str, spoken: bool) -> None:
        event = json.loads(text)
        self.received.append(event)
        kind = event.get("type")
        if kind == "test.echo":
            await socket.send_str(text)
        elif kind == "session.update":
            self.session = {**self.session, **event["session"]}
            await socket.send_json({"type": "session.updated", "event_id": "e1", "session": self.session})
        elif kind == "response.create" or (kind == "input_audio_buffer.append" and "speech" in event):
            self._spawn(self._respond(socket, event, spoken))
        elif kind == "response.cancel":
            running = self._running.get(event.get("response_id", "")) or next(
                iter(self._running.values()), None
            )
            if running is not None:
                running.cancel()
        elif kind == "input_audio_buffer.commit":
            self.billed.append((30, 4))
            await socket.send_json(transcribed())

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _respond(self, socket: web.WebSocketResponse, asked: dict[str, Any], spoken: bool) -> None:
        self._number += 1
        number = self._number
        name = f"resp_{number}"
        task = asyncio.current_task()
        assert task is not None
        self._running[name] = task
        lane = {"stream_id": asked["stream_id"]} if "stream_id" in asked else {}
        model = asked.get("model", "gpt-realtime")
        with suppress(ConnectionError):
            await socket.send_json(
                {"type": "response.created", **lane, "response": {"id": name, "model": model}}
            )
            words = {
                "type": "response.output_text.delta",
                **lane,
                "delta": "Hello there.",
                "response_id": name,
            }
            await socket.send_json(words)
            into, out = self.usage(number)
            status = "completed"
            try:
                if self.hold is not None:
                    await self.hold.wait()
            except asyncio.CancelledError:
                status, out = "cancelled", out // 2
                self.cancelled += 1
            self._running.pop(name, None)
            self.billed.append((into, out))
            await socket.send_json(done(name, status, into, out, spoken) | lane)


def done(name: str, status: str, into: int, out: int, spoken: bool) -> dict[str, Any]:
    """The last event of a response."""
    usage: dict[str, Any] = {"input_tokens": into, "output_tokens": out, "total_tokens": into + out}
    if not spoken:
        response = {"id": name, "object": "response", "status": status, "output": [], "usage": usage}
        return {"type": "response.completed", "response": response}
    usage |= {
        "input_token_details": {"text_tokens": into, "audio_tokens": 0, "cached_tokens": 0},
        "output_token_details": {"text_tokens": out - out // 2, "audio_tokens": out // 2},
    }
    response = {"id": name, "status": status, "usage": usage, "conversation_id": "conv_1", "output": []}
    return {"type": "response.done", "event_id": "e9", "response": response}


def transcribed(into: int = 30, out: int = 4) -> dict[str, Any]:
    return {
        "type": "conversation.item.input_audio_transcription.completed",
        "event_id": "e7",
        "item_id": "item_1",
        "content_index": 0,
        "transcript": "hello",
        "usage": {
            "type": "tokens",
            "input_tokens": into,
            "output_tokens": out,
            "total_tokens": into + out,
            "input_token_details": {"text_tokens": 0, "audio_tokens": into},
        },
    }
