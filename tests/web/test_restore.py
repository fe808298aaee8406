import json

from gateway.away.restoring import Restored
from gateway.errors import Conflict
from gateway.web.restore import StoreCalls
from tests.web.conftest import Serve
from tests.web.raw import ask, post

RESTORED = Restored("0123456789abcdef", 3, 1, 2, "sink", 40)


async def test_what_was_put_back_is_told(serve: Serve) -> None:
    given: list[bool] = []

    async def accept(without_keys: bool) -> Restored:
        given.append(without_keys)
        return RESTORED

    served = await serve(StoreCalls(accept).accept)
    for body in (b"", b"{}", b'{"without_keys": true}'):
        response = await ask(served.port, post(body))
        assert response.status == 200
        assert json.loads(response.body) == {
            "accepted": True,
            "epoch": "0123456789abcdef",
            "keys": 3,
            "teams": 1,
            "budgets": 2,
            "source": "sink",
            "rows": 40,
        }
    assert given == [False, False, True]


async def test_what_does_not_need_it_is_refused(serve: Serve) -> None:
    async def accept(without_keys: bool) -> Restored:
        raise Conflict("There is nothing to accept.")

    response = await ask((await serve(StoreCalls(accept).accept)).port, post())
    assert (response.status, response.code) == (409, "conflict")


async def test_a_slip_of_the_pen_accepts_nothing(serve: Serve) -> None:
    async def accept(without_keys: bool) -> Restored:
        raise AssertionError("it was accepted")

    served = await serve(StoreCalls(accept).accept)
    for body in (b'{"without-keys": true}', b'{"without_keys": "yes"}', b"[]", b"yes"):
        assert (await ask(served.port, post(body))).status == 400
