"""A gateway as people run it, and what must not get into it: byte by byte, on both of its listeners.

Every case carries keys that are good, so that nothing but its form can be what it is refused for; and behind
every one that ends its connection comes a request that is good, which nobody may believe.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio

from tests import malformed, tricks
from tests.malformed import CHUNKED, LATE, LENGTH, MALFORMED, TOO_LARGE, Case, sent
from tests.running import configuration
from tests.scripted import Scripted, hold
from tests.served import Served, served
from tests.web.raw import Raw, Response

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "qZ7x"  # in every key; whatever else has it has said too much
REAL = f"sk-real-{MARK}-0123456789abcdef"
CLIENT = f"sk-gw-{MARK}-client-0123456789abcdef"
ADMIN = f"sk-gw-admin-{MARK}-0123456789abcdef"
ENVIRONMENT = {"ADMIN": ADMIN, "REAL": REAL, "KEY": CLIENT}
SECONDS = 1  # for a head, and for a body
LIMIT = 12_000_000
WITHIN = 15.0  # seconds: a deadline that does not come has failed
_KINDS = {"invalid_request_error", "permission_error"}


@dataclass(frozen=True, slots=True)
class Door:
    """A listener, with a request of its own that is good."""

    name: str
    port: int
    path: str
    key: str = field(repr=False)
    body: bytes

    def wire(self, case: Case) -> bytes:
        return case.wire(self.path, self.key, self.body)

    def good(self) -> bytes:
        return Case("", malformed.GOOD).wire(self.path, self.key, self.body)

    def written(self, data: str, body: bytes | None = None) -> bytes:
        return Case("", data).wire(self.path, self.key, self.body if body is None else body)


@dataclass(slots=True)
class House:
    gateway: Served
    upstream: Scripted
    said: list[str] = field(default_factory=list)

    @property
    def doors(self) -> dict[str, Door]:
        chat, key = b'{"model":"gpt-4o-mini","messages":[]}', b'{"name":"smuggled"}'
        return {
            "public": Door("public", self.gateway.port, tricks.CHAT, CLIENT, chat),
            "admin": Door("admin", self.gateway.admin_port, tricks.KEYS, ADMIN, key),
        }

    def refused(self, response: Response, owed: tuple[int, str]) -> None:
        """In OpenAI's shape, in words that give nothing away."""
        assert (response.status, response.code) == owed, response.body
        self.said.append(f"{response.headers} {response.body.decode()}")
        assert MARK not in self.said[-1]
        error = json.loads(response.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
        assert error["type"] in _KINDS
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-gateway-error"] == owed[1]
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-gateway-request-id"])
        if owed[0] == 405:
            assert response.headers["allow"]

    async def keys(self) -> list[str]:
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN}"}) as session,
            session.get(f"{self.gateway.admin_url}{tricks.KEYS}") as answer,
        ):
            return [one["name"] for one in (await answer.json())["data"]]

    async def metrics(self) -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.gateway.admin_url}/metrics") as answer,
        ):
            return await answer.text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    async with Scripted(key=REAL) as upstream:
        times = f'header_timeout = "{SECONDS}s"\nbody_timeout = "{SECONDS}s"\nmax_body = "{LIMIT // 10**6}MB"'
        more = "[cache]\nenabled = false"
        text = configuration(upstream.base_url, folder / "data", more).replace(
            "[server]", f"[server]\n{times}"
        )
        async with served(folder, config=text, environ=ENVIRONMENT) as gateway:
            home = House(gateway, upstream)
            yield home
            await nothing_was_let_in(home)
        assert "Traceback" not in gateway.output
        assert [line for line in gateway.output.splitlines() if MARK in line] == []
        assert [line for line in gateway.output.splitlines() if '"level":"error"' in line.lower()] == []


async def nothing_was_let_in(house: House) -> None:
    assert "smuggled" not in await house.keys()
    page = await house.metrics()
    assert MARK not in page
    assert "malformed_http" in page


@pytest.fixture
def door(house: House, request: pytest.FixtureRequest) -> Door:
    return house.doors[request.param]


def at_both(public: list[Case], admin: list[Case]) -> pytest.MarkDecorator:
    """Parametrize a test by case, at each of the listeners."""
    pairs = [("public", case) for case in public] + [("admin", case) for case in admin]
    ids = [f"{door}: {case}" for door, case in pairs]
    return pytest.mark.parametrize(("door", "case"), pairs, ids=ids, indirect=["door"])


@pytest.fixture
async def untouched(house: House) -> AsyncIterator[None]:
    """The upstream hears nothing of it, not even a connection."""
    before = house.upstream.calls, house.upstream.connections
    yield
    assert (house.upstream.calls, house.upstream.connections) == before


@pytest.mark.usefixtures("untouched")
@at_both(malformed.CASES, malformed.CASES)
async def test_what_is_malformed_is_refused_and_what_follows_is_not_read(
    house: House, door: Door, case: Case
) -> None:
    async with Raw(door.port) as client:
        sending = asyncio.create_task(client.send(door.wire(case) + (b"" if case.last else door.good())))
        response = await client.response()
        house.refused(response, case.owed)
        assert response.headers["connection"] == "close"
        assert await client.closed()
        await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.usefixtures("untouched")
@at_both(tricks.CASES, tricks.ADMIN_CASES)
async def test_what_is_tricky_is_refused_and_the_connection_stays_in_step(
    house: House, door: Door, case: Case
) -> None:
    async with Raw(door.port) as client:
        sending = asyncio.create_task(client.send(door.wire(case)))
        response = await client.response()
        house.refused(response, case.owed)
        await asyncio.gather(sending, return_exceptions=True)
        if response.headers.get("connection") == "close":
            assert await client.closed()
            return
        await client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.response()).status == 200


SLOW = {
    "half a request line": (f"POST {{path}}?{MARK}", LATE),
    "half a head": (sent("X: y")[:-11], LATE),
    "half a body": (sent("Content-Length: 1000"), LATE),
    "no body": (sent("Content-Length: 1000", body=""), LATE),
    "half a chunk": (sent(CHUNKED, body="ff\r\n{body}"), LATE),
    "no last chunk": (sent(CHUNKED, body="{hex}\r\n{body}\r\n"), LATE),
    "half a trailer": (sent(CHUNKED, body="{hex}\r\n{body}\r\n0\r\nX: "), LATE),
    "a chunk of 2^64 - 1 bytes": (sent(CHUNKED, body="f" * 16 + "\r\n{body}"), LATE),
    "a body that is asked for and does not come": (sent("Expect: 100-continue", LENGTH, body=""), LATE),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("door", ["public", "admin"], indirect=True)
async def test_what_stops_in_the_middle_is_given_up(house: House, door: Door) -> None:
    async def stop(name: str) -> None:
        data, owed = SLOW[name]
        async with Raw(door.port) as client, asyncio.timeout(WITHIN):
            await client.send(door.written(data))
            if "Expect" in data:
                assert (await client.head())[0] == 100
            response = await client.response()
            house.refused(response, owed)
            assert response.headers["connection"] == "close", name
            assert await client.closed(), name

    await asyncio.gather(*map(stop, SLOW))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("door", ["public", "admin"], indirect=True)
async def test_what_trickles_in_is_given_up(house: House, door: Door) -> None:
    """A byte now and then buys no time: neither for a head, nor for a body, nor in chunks of one byte."""

    async def trickle(data: bytes, drop: bytes) -> None:
        async with Raw(door.port) as client, asyncio.timeout(WITHIN):
            await client.send(data)

            async def dropping() -> None:
                while True:
                    await client.send(drop)
                    await asyncio.sleep(0.02)

            tap = asyncio.create_task(dropping())
            house.refused(await client.response(), LATE)
            tap.cancel()
            await asyncio.gather(tap, return_exceptions=True)

    await asyncio.gather(
        trickle(door.written(sent("X: y")[:-11]), b"y"),
        trickle(door.written(sent("X: y")[:-11]), b"y\r\nX: "),
        trickle(door.written(sent("Content-Length: 100000")), b" "),
        trickle(door.written(sent(CHUNKED, body="")), b"1\r\n \r\n"),
        trickle(door.written(sent(CHUNKED, body="")), b"1;" + b"x" * 50 + b"\r\n \r\n"),
    )


LEFT = [
    *(sent("Content-Length: 1000"), sent(CHUNKED, body="{hex}\r\n{body}\r\n"), sent("X: y")[:-11]),
    *("POST", "POST {path} HTTP/1.1\r\nHost", sent("Content-Length: 1000", body="")),
    sent(CHUNKED, body="{hex}\r\n{body}\r\n0\r\n"),
]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("door", ["public", "admin"], indirect=True)
@pytest.mark.parametrize("how", ["leaves", "sends no more"])
async def test_a_body_shorter_than_promised_is_no_request(house: House, door: Door, how: str) -> None:
    """RFC 9112 section 8: a message that breaks off is incomplete, and is not handled as if it were whole."""

    async def break_off(data: str) -> None:
        async with Raw(door.port) as client, asyncio.timeout(WITHIN):
            await client.send(door.written(data))
            if how == "leaves":
                client.leave()
                return
            client._writer.write_eof()
            assert b"HTTP/1.1 2" not in await client.rest()

    await asyncio.gather(*map(break_off, LEFT))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("door", ["public", "admin"], indirect=True)
async def test_every_cut_of_a_request_is_no_request(house: House, door: Door) -> None:
    """A good request with its end missing, wherever it was cut; and each of these connections ends."""
    whole = door.written(sent(CHUNKED, body="{hex}\r\n{body}\r\n0\r\n\r\n"))

    async def cut(at: int) -> None:
        async with Raw(door.port) as client, asyncio.timeout(WITHIN):
            await client.send(whole[:at])
            client._writer.write_eof()
            said = await client.rest()
            assert b"HTTP/1.1 2" not in said
            assert MARK.encode() not in said

    await asyncio.gather(*(cut(at) for at in range(len(whole))))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("door", ["public", "admin"], indirect=True)
@pytest.mark.parametrize(
    "head",
    [
        sent(f"Content-Length: {LIMIT + 1}", body=""),
        sent("Content-Length: 999999999999999999", body=""),
        sent(f"Content-Length: {LIMIT + 1}", "Expect: 100-continue", body=""),
    ],
)
async def test_what_is_too_large_by_its_head_is_refused_before_it_is_sent(
    house: House, door: Door, head: str
) -> None:
    async with Raw(door.port) as client:
        await client.send(door.written(head))
        response = await client.response()
        house.refused(response, TOO_LARGE)
        assert response.headers["connection"] == "close"
        assert await client.closed()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("door", ["public", "admin"], indirect=True)
async def test_what_turns_out_too_large_is_refused_as_soon_as_it_is(house: House, door: Door) -> None:
    async with Raw(door.port) as client:
        await client.send(door.written(sent(CHUNKED, body="")))

        async def pour() -> None:
            while True:
                await client.send(b"100000\r\n" + b" " * 2**20 + b"\r\n")

        pouring = asyncio.create_task(pour())
        house.refused(await client.response(), TOO_LARGE)
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)


@pytest.mark.usefixtures("untouched")
async def test_who_is_refused_is_not_told_to_continue(house: House) -> None:
    for door in house.doors.values():
        for body in ("", "{body}"):
            async with Raw(door.port) as client:
                head = sent("Expect: 100-continue", LENGTH, body=body).replace("{key}", tricks.FORGED)
                await client.send(door.written(head))
                house.refused(await client.response(), tricks.NO_KEY)


async def test_a_body_longer_than_promised_is_the_beginning_of_the_next_request(house: House) -> None:
    """What follows the promised length is another message: here one that is malformed."""
    door = house.doors["public"]
    calls = house.upstream.calls
    async with Raw(door.port) as client:
        await client.send(door.good() + b"more" + door.good())
        response = await client.response()
        assert response.status in (200, 400)
        if response.status == 200:
            house.refused(await client.response(), MALFORMED)
        assert await client.closed()
    assert house.upstream.calls <= calls + 1


async def test_what_belongs_to_a_connection_or_to_a_trick_goes_nowhere(house: House) -> None:
    door = house.doors["public"]
    async with Raw(door.port) as client:
        for field_ in tricks.NOWHERE:
            await client.send(door.written(sent(field_, LENGTH)))
            response = await client.response()
            assert response.status == 200, (field_, response.body)
            assert "connection" not in response.headers, field_
            seen = house.upstream.requests[-1]
            assert (seen.method, seen.path, seen.body) == ("POST", tricks.CHAT, door.body)
            assert sorted((name.lower(), value) for name, value in seen.headers) == [
                ("accept-encoding", "identity"),
                ("authorization", f"Bearer {REAL}"),
                ("content-length", str(len(door.body))),
                ("content-type", "application/json"),
                ("host", f"127.0.0.1:{house.upstream.port}"),
                ("user-agent", "openai-team-gateway"),
            ], field_


async def test_connection_cannot_take_the_key_away(house: House) -> None:
    """Listed or not, the key is the client's word to this gateway; it is believed, and goes no further."""
    door = house.doors["public"]
    wrong = sent("Connection: authorization", LENGTH).replace("{key}", tricks.FORGED)
    async with Raw(door.port) as client:
        await client.send(door.written(wrong))
        house.refused(await client.response(), tricks.NO_KEY)


FINE = {
    "an empty line before it": "\r\n" + malformed.GOOD,
    "an absolute URL": sent(LENGTH, line="POST http://elsewhere:1{path} HTTP/1.1"),
    "an absolute URL with a user": sent(LENGTH, line="POST http://a:b@elsewhere{path} HTTP/1.1"),
    "another Host": malformed.GOOD.replace("Host: gateway", "Host: elsewhere:1"),
    "no name in Host": malformed.GOOD.replace("Host: gateway", "Host:"),
    "no Host in HTTP/1.0": sent(LENGTH, line="POST {path} HTTP/1.0").replace(malformed.HOST, ""),
    "names in capitals": malformed.GOOD.replace("Authorization", "AUTHORIZATION").replace(
        "Content", "CONTENT"
    ),
    "a scheme in small letters": malformed.GOOD.replace("Bearer", "bearer"),
    "a scheme in capitals": malformed.GOOD.replace("Bearer", "BEARER"),
    "spaces round a value": malformed.GOOD.replace("Bearer {key}", " \t Bearer   {key} \t "),
    "zeros before a length": sent("Content-Length: 000{size}"),
    "an unknown field past ASCII": sent("X: caf\xe9 \xff", LENGTH),
    "chunks": sent(CHUNKED, body=malformed.CHUNKS),
    "chunks in capitals": sent("TRANSFER-ENCODING: CHUNKED", body=malformed.CHUNKS),
    "chunks with extensions": sent(CHUNKED, body='{hex};a="b";c\r\n{body}\r\n0;d\r\n\r\n'),
    "chunks with zeros before their size": sent(CHUNKED, body="000{hex}\r\n{body}\r\n000\r\n\r\n"),
    "forbidden trailers": sent(
        CHUNKED, body="{hex}\r\n{body}\r\n0\r\nAuthorization: x\r\nCookie: x\r\nExpect: x\r\n\r\n"
    ),
    "an upgrade to HTTP/2": sent("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", LENGTH),
    "an upgrade to a WebSocket": sent(
        *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", LENGTH),
    ),
    "both fields with the same key": sent("api-key: {key}", LENGTH),
    "10^999999 where nobody counts": sent(
        "Content-Length: 63", body='{"model":"gpt-4o-mini","messages":[],"temperature":1e999999999}'
    ),
    "10 MB": "",
}


@pytest.mark.parametrize("name", FINE)
async def test_what_is_odd_and_allowed_is_answered_and_the_next_as_well(house: House, name: str) -> None:
    door = house.doors["public"]
    calls = house.upstream.calls
    async with Raw(door.port) as client:
        large = tricks.json_of(10_000_000)
        data = door.written(FINE[name]) if FINE[name] else door.written(malformed.GOOD, large)
        sending = asyncio.create_task(client.send(data))
        response = await client.response()
        assert response.status == 200, response.body
        await sending
        assert house.upstream.calls == calls + 1
        if response.headers.get("connection") == "close":
            assert await client.closed()
            return
        await client.send(door.good())
        assert (await client.response()).status == 200
        assert house.upstream.calls == calls + 2


async def test_who_half_closes_has_left(house: House) -> None:
    """As nginx has it: nobody can tell a client that only sends no more from one that is gone."""
    door, upstream = house.doors["public"], house.upstream
    upstream.plan(hold(asyncio.Event()))
    calls, hangups = upstream.calls, upstream.hangups
    async with Raw(door.port) as client:
        await client.send(door.good())
        await upstream.received(calls + 1)
        client._writer.write_eof()
        assert await client.rest() == b""
        await upstream.disconnected(hangups + 1)
    upstream.plan()


async def test_each_of_many_requests_at_once_is_judged_for_itself(house: House) -> None:
    """Pipelined: the first that is malformed is the last that is answered."""
    door = house.doors["public"]
    calls = house.upstream.calls
    wrong = door.good().replace(CLIENT.encode(), tricks.FORGED.encode())
    async with Raw(door.port) as client:
        await client.send(b"".join([door.good(), wrong, door.good()]))
        assert [(await client.response()).status for _ in range(3)] == [200, 401, 200]
        await client.send(door.written(sent(LENGTH, "Content-Length: 0")) + door.good())
        house.refused(await client.response(), MALFORMED)
        assert await client.closed()
    assert house.upstream.calls == calls + 2
