"""A small OpenAI for OpenAI's own clients: what they can ask for, in the shapes that they read.

Deterministic: ids count from 1, so two runs of the same program see the same. It keeps every request.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.clients import generating, media, objects, sockets
from tests.clients.forms import BOUNDARY
from tests.openai_like import CREATED, MODELS, model
from tests.scripted import Seen

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One of them; `requests` as they arrived."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def received(self) -> list[dict[str, Any]]:
        """The requests, fit to be compared: with the content's own headers, and one boundary for all."""
        return [_comparable(seen) for seen in self.requests]

    @web.middleware
    async def _recorded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.read()
        headers = [(name, value) for name, value in request.headers.items()]
        self.requests.append(Seen(request.method, request.raw_path, headers, body, len(self.requests) + 1))
        return await handler(request)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=2**26, middlewares=[self._recorded])
        app.router.add_get("/v1/models", _models)
        app.router.add_get("/v1/models/{model}", _model)
        for room in (generating, media, objects, sockets):
            app.add_routes(room.routes())
        objects.opened(app)
        return app


def _comparable(seen: Seen) -> dict[str, Any]:
    request: dict[str, Any] = {"method": seen.method, "path": seen.path, "body": seen.body}
    if not seen.body:
        return request
    content_type = seen.header("content-type") or ""
    boundary = BOUNDARY.search(content_type)
    if boundary is not None:
        content_type = content_type.replace(boundary[1], "BOUNDARY")
        request["body"] = seen.body.replace(boundary[1].encode(), b"BOUNDARY")
    return request | {"accept": seen.header("accept"), "content-type": content_type}


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    runner = web.AppRunner(server.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()


async def _models(_: web.Request) -> web.Response:
    return web.json_response(
        {"object": "list", "data": [model(name) | {"created": CREATED} for name in MODELS]}
    )


async def _model(request: web.Request) -> web.Response:
    return web.json_response(model(request.match_info["model"]))
