import json

import pytest

from gateway.web.call import Call
from gateway.web.routes import Routes
from tests.web.conftest import Serve
from tests.web.raw import Raw, ask


@pytest.fixture
def routes() -> Routes:
    async def args(call: Call) -> None:
        await call.answer_json(200, dict(call.args))

    async def create(call: Call) -> None:
        await call.answer_json(201, {})

    routes = Routes("Nothing here.")
    routes.add("/things", GET=args, POST=create)
    routes.add("/things/{id}", GET=args)
    routes.add("/things/{id}/parts/{part}", GET=args)
    return routes


@pytest.mark.parametrize(
    ("path", "args"),
    [
        ("/things", {}),
        ("/things/a", {"id": "a"}),
        ("/things/a%20b%2Fc?d=e", {"id": "a b/c"}),
        ("/things/a/parts/b", {"id": "a", "part": "b"}),
    ],
)
async def test_paths_find_their_handlers(
    serve: Serve, routes: Routes, path: str, args: dict[str, str]
) -> None:
    served = await serve(routes)
    response = await ask(served.port, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert json.loads(response.body) == args


@pytest.mark.parametrize(
    "path", ["/", "/thing", "/things/", "/things/a/", "/things/a/parts", "//things", "/x/things"]
)
async def test_other_paths_are_404(serve: Serve, routes: Routes, path: str) -> None:
    served = await serve(routes)
    response = await ask(served.port, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (response.status, response.code) == (404, "unknown_url")
    assert b"Nothing here." in response.body


@pytest.mark.parametrize("method", ["PUT", "TRACE", "OPTIONS", "DELETE"])
async def test_other_methods_are_405(serve: Serve, routes: Routes, method: str) -> None:
    served = await serve(routes)
    response = await ask(served.port, f"{method} /things HTTP/1.1\r\nHost: a\r\nX-Secret: s3cret\r\n\r\n")
    assert (response.status, response.code) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"
    assert b"s3cret" not in response.body


async def test_head_is_get_without_its_body(serve: Serve, routes: Routes) -> None:
    served = await serve(routes)
    async with Raw(served.port) as client:
        await client.send("HEAD /things HTTP/1.1\r\nHost: a\r\n\r\n")
        response = await client.response()
        assert (response.status, response.headers["content-length"]) == (200, "2")
