"""A bare relay: aiohttp's server, aiohttp's client, and nothing else. What the gateway is compared with.

`python -m bench.bare_relay --port N --upstream URL`. It is as quick as plain aiohttp allows: uvloop, one
session without limits, no access log, no decompression; an answer of known length is passed on in one piece,
a stream chunk by chunk as it comes.
"""

import argparse
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

UPSTREAM = web.AppKey("upstream", str)
SESSION = web.AppKey("session", aiohttp.ClientSession)


async def open_session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=600),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    ) as session:
        app[SESSION] = session
        yield


async def relay(request: web.Request) -> web.StreamResponse:
    headers = {name: request.headers[name] for name in ("Authorization", "Content-Type")}
    target = request.app[UPSTREAM] + request.path_qs
    body = await request.read()
    async with request.app[SESSION].post(target, data=body, headers=headers) as answer:
        kind = {"Content-Type": answer.headers["Content-Type"]}
        if answer.content_length is not None:
            return web.Response(status=answer.status, headers=kind, body=await answer.read())
        response = web.StreamResponse(status=answer.status, headers=kind)
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--upstream", required=True)
    given = arguments.parse_args()
    app = web.Application()
    app[UPSTREAM] = given.upstream
    app.cleanup_ctx.append(open_session)
    app.router.add_post("/{path:.*}", relay)
    loop = uvloop.new_event_loop()
    web.run_app(
        app,
        host="127.0.0.1",
        port=given.port,
        loop=loop,
        access_log=None,
        print=None,
        backlog=4096,
        handler_cancellation=True,
    )


if __name__ == "__main__":
    main()
