"""Speech, transcriptions, images: forms in, bytes out."""

import base64

from aiohttp import web

from tests.clients.forms import form
from tests.clients.generating import events
from tests.openai_like import CREATED

# As long as a sentence, and every byte there is in it.
AUDIO = b"ID3" + bytes(range(256)) * 64
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/audio/speech", _speech),
        web.post("/v1/audio/transcriptions", _transcription),
        web.post("/v1/images/generations", _generation),
        web.post("/v1/images/edits", _edit),
    ]


async def _speech(request: web.Request) -> web.Response:
    await request.json()
    return web.Response(body=AUDIO, content_type="audio/mpeg")


async def _transcription(request: web.Request) -> web.StreamResponse:
    said = await form(request)
    text = f"{len(said['file'][1])} bytes of sound"
    usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 5, "total_tokens": 19}
    if said.get("stream") == "true":
        deltas = [{"type": "transcript.text.delta", "delta": text}]
        whole = {"type": "transcript.text.done", "text": text, "usage": usage}
        return await events(request, [*deltas, whole], done=False)
    return web.json_response({"text": text, "usage": usage})


async def _generation(request: web.Request) -> web.Response:
    await request.json()
    return _pictures(1)


async def _edit(request: web.Request) -> web.Response:
    given = (await form(request)).get("image[]")
    return _pictures(len(given) if isinstance(given, list) else 1)


def _pictures(count: int) -> web.Response:
    picture = {"b64_json": base64.b64encode(PICTURE).decode()}
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"image_tokens": 4, "text_tokens": 6},
        "output_tokens": 20,
        "total_tokens": 30,
    }
    return web.json_response({"created": CREATED, "data": [picture] * count, "usage": usage})
