"""The scripted upstream: an OpenAI-shaped server that must be far quicker than whatever is measured.

`python -m bench.upstream --port N`. It answers every POST with one fixed completion of about 400 bytes, or,
asked for a stream, with as many events at such a rate as the prompt says; where that says `clocked`, each
event tells when it left, on the machine's monotonic clock (ns). `GET /stats` counts what was asked, and
`GET /v1/models` names a model, for gateways that want to know.
"""

import argparse
import asyncio
import json
import re
import time
from typing import cast

import httptools
import uvloop

_COMPLETION = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "At dusk the tide carries the lamps ashore. " * 2,
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60},
    }
).encode()


def _event(choices: list[object], **more: object) -> bytes:
    """One server-sent event, as one HTTP chunk."""
    fields = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "gpt-4o-mini",
        "system_fingerprint": "fp_bench",
        "choices": choices,
    }
    return _chunk(b"data: " + json.dumps(fields | more).encode() + b"\n\n")


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _head(*fields: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"x-request-id: req_bench", *fields, b"\r\n"))


_ANSWER = _head(b"content-type: application/json", b"content-length: %d" % len(_COMPLETION)) + _COMPLETION
_MODEL_LIST = b'{"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model", "owned_by": "bench"}]}'
_MODELS = _head(b"content-type: application/json", b"content-length: %d" % len(_MODEL_LIST)) + _MODEL_LIST
_STREAM_HEAD = _head(b"content-type: text/event-stream", b"transfer-encoding: chunked")
_TOKEN = _event([{"index": 0, "delta": {"role": "assistant", "content": " lamps"}, "finish_reason": None}])
_STOP = _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
_USAGE = _event([], usage={"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60})
_DONE = _chunk(b"data: [DONE]\n\n")
_END = b"0\r\n\r\n"

_IS_STREAM = re.compile(rb'"stream"\s*:\s*true')
_WANTS_USAGE = re.compile(rb'"include_usage"\s*:\s*true')
# As `chat.streamed` writes it into the prompt.
_EVENTS = re.compile(rb"\[events=(\d+) ")
_RATE = re.compile(rb" rate=([\d.]+)")
_CLOCKED = re.compile(rb" clocked\]")


class Stats:
    """What this upstream has been asked since it started."""

    def __init__(self) -> None:
        self.requests = 0
        self.open_streams = 0

    def answer(self) -> bytes:
        payload = json.dumps({"requests": self.requests, "open_streams": self.open_streams}).encode()
        return _head(b"content-type: application/json", b"content-length: %d" % len(payload)) + payload


class Playback:
    """One stream: its events leave on a fixed schedule, so that a late one does not delay the rest."""

    def __init__(self, transport: asyncio.WriteTransport, request: bytes, stats: Stats) -> None:
        self._transport = transport
        self._stats = stats
        self._left = int(_number(_EVENTS, request, 10))
        self._period = 1 / _number(_RATE, request, 25)
        self._clocked = _CLOCKED.search(request) is not None
        self._last = _STOP + (_USAGE if _WANTS_USAGE.search(request) else b"") + _DONE + _END
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._stats.open_streams += 1
        transport.write(_STREAM_HEAD)
        self._tick()

    def _tick(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self._transport.write(self._last)
            self.stop()
            return
        self._transport.write(_stamped() if self._clocked else _TOKEN)
        self._due += self._period
        self._timer = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        """End the schedule; a second call does nothing."""
        if self._timer is not None:
            self._timer.cancel()
        if self._left >= 0:
            self._stats.open_streams -= 1
        self._left = -1


def _stamped() -> bytes:
    delta = {"index": 0, "delta": {"content": f" {time.monotonic_ns()}"}, "finish_reason": None}
    return _event([delta])


def _number(pattern: re.Pattern[bytes], request: bytes, default: float) -> float:
    found = pattern.search(request)
    return float(found[1]) if found else default


class Connection(asyncio.Protocol):
    """One client connection: requests one after another, each answered when its body is whole."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._parser = httptools.HttpRequestParser(self)
        self._playback: Playback | None = None
        self._body = b""
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._body = self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._url == b"/stats":
            self._transport.write(self._stats.answer())
            return
        if self._url == b"/v1/models":
            self._transport.write(_MODELS)
            return
        self._stats.requests += 1
        if _IS_STREAM.search(self._body):
            self._playback = Playback(self._transport, self._body, self._stats)
        else:
            self._transport.write(_ANSWER)

    def connection_lost(self, _: Exception | None) -> None:
        if self._playback is not None:
            self._playback.stop()


async def serve(port: int) -> None:
    """Answer on 127.0.0.1 until the process is ended."""
    stats = Stats()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(stats), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments.parse_args().port))


if __name__ == "__main__":
    main()
