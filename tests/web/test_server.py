import logging

import pytest
from aiohttp import helpers

from gateway.errors import InvalidRequest, RequestTooLarge
from gateway.web.call import Call
from gateway.web.server import require_c_parser
from tests.web.conftest import Serve
from tests.web.raw import CANARY, Raw, post


async def test_a_refusal_is_told_and_the_connection_lives(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        await call.body.read()
        raise InvalidRequest("No.", code="no_such_thing", param="model")

    served = await serve(handler)
    async with Raw(served.port) as client:
        for _ in range(2):
            await client.send(post())
            response = await client.response()
            assert (response.status, response.code) == (400, "no_such_thing")
            assert response.headers["x-gateway-error"] == "no_such_thing"
    assert len(served.refused) == 2


async def test_a_refusal_that_says_so_ends_the_connection(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        await call.body.read()
        raise RequestTooLarge("Too large.")

    served = await serve(handler)
    async with Raw(served.port) as client:
        await client.send(post())
        assert (await client.response()).headers["connection"] == "close"
        assert await client.closed()


async def test_a_bug_says_the_request_id_and_nothing_else(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(call: Call) -> None:
        raise KeyError(call.header_values("authorization")[0])

    served = await serve(handler)
    async with Raw(served.port) as client:
        await client.send(post())
        response = await client.response()
    assert (response.status, response.code) == (500, "internal_error")
    assert response.headers["x-gateway-request-id"].encode() in response.body
    assert CANARY.encode() not in response.body
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.__dict__["error"] == "KeyError"
    assert record.__dict__["place"].startswith("test_server.py:")
    assert record.__dict__["request_id"] == response.headers["x-gateway-request-id"]
    assert record.exc_info is None


async def test_a_bug_in_the_middle_of_an_answer_cuts_it(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        await call.downstream.start(200, (), None)
        await call.downstream.write(b"some")
        raise KeyError

    served = await serve(handler)
    async with Raw(served.port) as client:
        await client.send(post())
        await client.head()
        assert await client.rest() == b"4\r\nsome\r\n"


async def test_a_time_out_of_the_handlers_own_is_a_bug_and_not_a_504(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        raise TimeoutError

    served = await serve(handler)
    async with Raw(served.port) as client:
        await client.send(post())
        assert (await client.response()).status == 500


async def test_a_handler_that_says_nothing_is_a_bug(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        return

    served = await serve(handler)
    async with Raw(served.port) as client:
        await client.send(post())
        assert (await client.response()).status == 500


async def test_every_request_has_an_id_of_its_own(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        await call.answer(200, call.id.encode())

    served = await serve(handler)
    ids = set()
    async with Raw(served.port) as client:
        for _ in range(10):
            await client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Gateway-Request-Id: mine\r\n\r\n")
            response = await client.response()
            assert response.body.decode() == response.headers["x-gateway-request-id"]
            ids.add(response.body)
    assert len(ids) == 10


def test_the_python_parser_is_not_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    require_c_parser()
    monkeypatch.setattr(helpers, "NO_EXTENSIONS", True)
    with pytest.raises(RuntimeError, match="C extensions"):
        require_c_parser()
