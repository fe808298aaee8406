import json

from gateway.errors import RateLimited, RequestTooLarge
from gateway.web.call import Call
from tests.web.conftest import Serve
from tests.web.raw import Raw, ask, post


async def test_what_a_handler_sees_of_a_request(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        seen = [call.method, call.path, call.peer, list(call.header_values("X-A")), call.header_values("x-b")]
        await call.answer_json(200, seen)

    served = await serve(handler)
    response = await ask(served.port, "GET /a%20b?c=d HTTP/1.1\r\nHost: a\r\nx-a: 1\r\nX-A: 2\r\n\r\n")
    assert json.loads(response.body) == ["GET", "/a%20b", "127.0.0.1", ["1", "2"], []]
    assert response.headers["content-type"] == "application/json"


async def test_a_refusal_has_the_shape_of_openais_errors(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        await call.body.read()
        await call.refuse(RateLimited("Slow down.", retry_ms=1500, should_retry=True))

    served = await serve(handler)
    response = await ask(served.port, post())
    assert response.status == 429
    assert json.loads(response.body) == {
        "error": {
            "message": "Slow down.",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
        }
    }
    assert response.headers["retry-after"] == "2"
    assert response.headers["retry-after-ms"] == "1500"
    assert response.headers["x-should-retry"] == "true"


async def test_a_refusal_in_the_middle_of_an_answer_is_a_cut(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        await call.downstream.start(200, (), None)
        await call.downstream.write(b"some")
        await call.refuse(RequestTooLarge("Too large."))

    served = await serve(handler)
    async with Raw(served.port) as client:
        await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.head()
        assert await client.rest() == b"4\r\nsome\r\n"


def test_a_call_shows_no_header_and_no_body() -> None:
    hidden = {field.name for field in Call.__dataclass_fields__.values() if not field.repr}
    assert hidden == {"request", "body", "downstream"}


async def test_a_query_is_seen_as_it_came(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        await call.answer_json(200, call.raw_query)

    served = await serve(handler)
    for target in ("/a?b[]=%5B&b[]=+&c=?d&&", "http://evil.example/a?b[]=%5B&b[]=+&c=?d&&"):
        response = await ask(served.port, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
        assert json.loads(response.body) == "b[]=%5B&b[]=+&c=?d&&"
    response = await ask(served.port, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    assert json.loads(response.body) == ""
