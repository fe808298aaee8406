"""The client's end: what it takes for a frame. On the wire it is in `test_realtime`."""

import asyncio

import pytest
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import WebSocketError, WebSocketReader

from gateway.web.websocket import Masked


async def test_only_masked_frames_reach_the_reader() -> None:
    loop = asyncio.get_running_loop()
    queue = WebSocketDataQueue(BaseProtocol(loop), 2**16, loop=loop)
    masked = Masked(WebSocketReader(queue, 1000, compress=False, decode_text=True), queue)
    assert masked.feed_data(b"\x81\x82\x00\x00\x00\x00hi") == (False, b"")
    message = await queue.read()
    assert message.data == "hi"
    assert masked.feed_data(b"\x81\x02hi") == (True, b"")
    with pytest.raises(WebSocketError) as refused:
        await queue.read()
    assert refused.value.code == 1002
