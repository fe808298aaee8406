import json
from typing import Any

import pytest

from gateway.errors import InvalidRequest
from gateway.web.call import Call
from gateway.web.inputs import KeyChange, NewKey, NewTeam, changes, expiry, read
from tests.web.conftest import Serve
from tests.web.raw import Response, ask, post

NOW = 1_800_000_000_000


async def sent(serve: Serve, kind: type[Any], body: bytes) -> Response:
    async def handler(call: Call) -> None:
        given = await read(call, kind)
        await call.answer_json(200, changes(given))

    served = await serve(handler)
    return await ask(served.port, post(body))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a", "nmae": "b"}, "nmae"),
        ({"name": "a", "limits": ["60 requests"]}, "limits"),
        ({"name": "a", "limits": ["5 dollars/day"]}, "limits"),
        ({"name": "a", "limits": ["1 concurrent", "2 concurrent"]}, "limits"),
        ({"name": "a", "limits": "60 requests/minute"}, "limits"),
        ({"name": "a", "models": [""]}, "models"),
        ({"name": "a", "endpoints": ["everything"]}, "endpoints"),
        ({"name": "a", "addresses": ["10.0.0.0/33"]}, "addresses"),
        ({"name": "a", "cache_scope": "planet"}, "cache_scope"),
        ({"name": "a", "ownership": "maybe"}, "ownership"),
        ({"name": "a", "tags": {"k": 1}}, "tags"),
    ],
)
async def test_what_is_wrong_is_named(serve: Serve, body: dict[str, Any], param: str) -> None:
    response = await sent(serve, NewKey, json.dumps(body).encode())
    assert (response.status, response.code) == (400, "invalid_value")
    assert json.loads(response.body)["error"]["param"] == param


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"limits": [{"limit": ' + b"[" * 100_000, b'{"name": "\xff"}']
)
async def test_what_is_no_json_is_refused(serve: Serve, body: bytes) -> None:
    response = await sent(serve, NewKey, body)
    assert (response.status, response.code) == (400, "invalid_json")


async def test_a_change_is_what_was_sent(serve: Serve) -> None:
    response = await sent(serve, KeyChange, b'{"expires": null, "models": ["gpt-*"]}')
    assert json.loads(response.body) == {"expires": None, "models": ["gpt-*"]}
    assert json.loads((await sent(serve, KeyChange, b"{}")).body) == {}


async def test_a_key_cannot_change_teams(serve: Serve) -> None:
    assert (await sent(serve, KeyChange, b'{"team": "a"}')).status == 400


async def test_a_team_with_everything(serve: Serve) -> None:
    body = {"name": "R & D", "limits": ["8 concurrent"], "models": ["*"], "endpoints": ["inference"]}
    assert (await sent(serve, NewTeam, json.dumps(body).encode())).status == 400
    body["name"] = "Forschung-Süd 2"
    assert json.loads((await sent(serve, NewTeam, json.dumps(body).encode())).body) == body


@pytest.mark.parametrize(
    ("given", "ms"),
    [
        (None, None),
        ("2030-12-31", 1_924_905_600_000),
        ("2030-12-31T18:00:00Z", 1_924_970_400_000),
        ("2030-12-31T18:00:00+02:00", 1_924_963_200_000),
        (1_924_970_400, 1_924_970_400_000),
    ],
)
def test_expiry(given: str | int | None, ms: int | None) -> None:
    assert expiry(given, NOW) == ms


@pytest.mark.parametrize("given", ["soon", "", "2020-01-01", 0, -1, 1_924_970_400_000, 10**30])
def test_what_is_no_expiry(given: str | int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        expiry(given, NOW)
    assert caught.value.param == "expires"
