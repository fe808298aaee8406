"""The WebSockets: the Realtime API, and the Responses API over one connection."""

from typing import Any

from aiohttp import WSMsgType, web

from tests.clients.generating import response_events
from tests.openai_like import CREATED

Json = dict[str, Any]
USAGE = {
    "total_tokens": 30,
    "input_tokens": 10,
    "output_tokens": 20,
    "input_token_details": {"text_tokens": 10, "audio_tokens": 0, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 20, "audio_tokens": 0},
}


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/realtime", _realtime),
        web.post("/v1/realtime/client_secrets", _client_secret),
        web.get("/v1/responses", _responses),
    ]


async def _realtime(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    session: Json = {"type": "realtime", "id": "sess_1", "object": "realtime.session"}
    session |= {"model": request.query["model"]}
    await socket.send_json({"type": "session.created", "event_id": "event_0", "session": session})
    said = ""
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            break
        event = message.json()
        if event["type"] == "session.update":
            session |= event["session"]
            await socket.send_json({"type": "session.updated", "event_id": "event_1", "session": session})
        elif event["type"] == "conversation.item.create":
            said = event["item"]["content"][0]["text"]
        elif event["type"] == "response.create":
            await _answer(socket, said)
    return socket


async def _answer(socket: web.WebSocketResponse, said: str) -> None:
    text = f"You said: {said}"
    at = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    begun: Json = {"id": "resp_1", "object": "realtime.response", "status": "in_progress", "output": []}
    part = {"type": "output_text", "text": text}
    item = {"id": "item_1", "object": "realtime.item", "type": "message", "role": "assistant"}
    done = begun | {"status": "completed", "output": [item | {"content": [part]}], "usage": USAGE}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        *({"type": "response.output_text.delta", **at, "delta": piece} for piece in (text[:4], text[4:])),
        {"type": "response.output_text.done", **at, "text": text},
        {"type": "response.done", "response": done},
    ]
    for number, event in enumerate(events):
        await socket.send_json(event | {"event_id": f"event_{number + 2}"})


async def _client_secret(request: web.Request) -> web.Response:
    session = (await request.json()).get("session", {"type": "realtime"})
    session |= {"id": "sess_1", "object": "realtime.session"}
    return web.json_response({"value": "ek_1", "expires_at": CREATED, "session": session})


async def _responses(request: web.Request) -> web.WebSocketResponse:
    """Each `response.create` is answered by the events that a stream would have."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            break
        event = message.json()
        if event["type"] == "response.create":
            for one in response_events(event.get("response", event)):
                await socket.send_json(one)
    return socket
