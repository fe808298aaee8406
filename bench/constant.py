"""aiohttp's server answering a constant of a completion's size: the yardstick for cache hits.

`python -m bench.constant --port N`.
"""

import argparse

import uvloop
from aiohttp import web

_ANSWER = b'{"object": "chat.completion", "content": "' + b"x" * 400 + b'"}'


async def answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=_ANSWER, content_type="application/json")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    port = arguments.parse_args().port
    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=port, loop=loop, access_log=None, print=None, backlog=4096)


if __name__ == "__main__":
    main()
