"""What an upstream must not get through to a client, byte by byte, and what it must not leave behind.

After each answer comes another question. It is answered by what was said to it and to nobody before.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio

from tests import misanswers, scripted
from tests.misanswers import BODY, CHUNKED, GOOD, HEAD, PROTOCOL, TIMEOUT, Answer
from tests.running import configuration
from tests.scripted import Scripted, Seen, Wire
from tests.served import Served, served
from tests.web.raw import Raw, Response, ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "qZ7x"  # in every key, in every prompt and in whatever the upstream says behind a broken form
REAL = f"sk-real-{MARK}-0123456789abcdef"
CLIENT = f"sk-gw-{MARK}-client-0123456789abcdef"
ADMIN = f"sk-gw-admin-{MARK}-0123456789abcdef"
ENVIRONMENT = {"ADMIN": ADMIN, "REAL": REAL, "KEY": CLIENT}
TIMES = 'first_byte_timeout = "1s"\nidle_timeout = "1s"'
CHAT = "/v1/chat/completions"


@dataclass(slots=True)
class House:
    gateway: Served
    upstream: Scripted
    trap: Scripted  # an upstream that nobody configured
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def question(self, **more: object) -> bytes:
        """One that nobody has asked before."""
        said = [{"role": "user", "content": f"{MARK} {next(self.numbers)}"}]
        body = json.dumps({"model": "gpt-4o-mini", "messages": said, **more}).encode()
        fields = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CLIENT}\r\n"
        return fields.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body

    async def ask(self) -> Response:
        response = await ask(self.gateway.port, self.question())
        assert MARK.encode() not in response.body
        assert MARK not in str(response.headers)
        return response

    async def next_is_right(self) -> None:
        """The next question gets its own answer."""
        mine = b'{"mine":%d}' % next(self.numbers)
        self.upstream.plan(scripted.json(200, mine))
        response = await self.ask()
        assert (response.status, response.body) == (200, mine)
        assert self.trap.connections == 0

    def answers(self, answer: Answer) -> None:
        parts = (part.replace(b"{trap}", b"%d" % self.trap.port) for part in answer.parts)
        self.upstream.plan(scripted.raw(*parts, end=answer.end))  # type: ignore[arg-type]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    async with Scripted(key=REAL) as upstream, Scripted() as trap:
        text = configuration(upstream.base_url, folder / "data", "[cache]\nenabled = false")
        text = text.replace('"env:REAL"', f'"env:REAL"\n{TIMES}')
        async with served(folder, config=text, environ=ENVIRONMENT) as gateway:
            yield House(gateway, upstream, trap)
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{gateway.admin_url}/metrics") as answer,
            ):
                assert MARK not in await answer.text()
        assert "Traceback" not in gateway.output
        assert [line for line in gateway.output.splitlines() if MARK in line] == []
        assert (trap.connections, trap.calls) == (0, 0)


def refused(response: Response, owed: tuple[int, str]) -> None:
    assert (response.status, response.code) == owed, response.body
    assert response.headers["x-gateway-error"] == owed[1]
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.body)["error"]["type"] == "upstream_error"


@pytest.mark.parametrize("answer", misanswers.REFUSED, ids=str)
async def test_what_is_no_answer_is_a_502_in_words(house: House, answer: Answer) -> None:
    house.answers(answer)
    refused(await house.ask(), answer.owed)
    connections = house.upstream.connections
    await house.next_is_right()
    assert house.upstream.connections == connections + (0 if answer.kept else 1)


@pytest.mark.parametrize("answer", misanswers.SLOW, ids=str)
async def test_what_does_not_come_is_a_504(house: House, answer: Answer) -> None:
    house.answers(answer)
    hangups = house.upstream.hangups
    refused(await house.ask(), answer.owed)
    await house.upstream.disconnected(hangups + 1)
    await house.next_is_right()


@pytest.mark.parametrize("answer", misanswers.ODD, ids=str)
async def test_what_is_odd_and_an_answer_is_passed_on_and_leaves_nothing_behind(
    house: House, answer: Answer
) -> None:
    house.answers(answer)
    response = await house.ask()
    assert (response.status, response.body) == (200, BODY)
    assert not {"x-forged", "link", "set-cookie"} & set(response.headers)
    assert response.headers.get("x-request-id") != "forged"
    connections = house.upstream.connections
    await house.next_is_right()
    if answer.kept:
        assert house.upstream.connections == connections


async def test_informing_for_ever_is_no_answer(house: House) -> None:
    async def inform(_: Seen, wire: Wire) -> None:
        while True:
            await wire.send(misanswers.INFORMED * 100)
            await asyncio.sleep(0.01)

    house.upstream.plan(scripted.Answer(inform))
    refused(await house.ask(), TIMEOUT)
    await house.next_is_right()


@pytest.mark.parametrize("whole", [GOOD, misanswers.IN_CHUNKS + misanswers.CHUNK + misanswers.LAST])
async def test_every_cut_of_an_answer_is_no_answer(house: House, whole: bytes) -> None:
    for cut in range(len(whole)):
        house.upstream.plan(scripted.raw(whole[:cut], end="close"))
        refused(await house.ask(), PROTOCOL)
    await house.next_is_right()


DELTA = {"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": None}]}
EVENT = scripted.chunk(b"data: %b\n\n" % json.dumps(DELTA).encode())
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + CHUNKED + b"\r\n"


async def streamed(house: House, go: asyncio.Event | None = None) -> tuple[int, bytes]:
    """Status and chunked body, as they are on the wire; `go` is set when the first event has come."""
    async with Raw(house.gateway.port) as client:
        await client.send(house.question(stream=True).replace(b"Host: a", b"Host: a\r\nConnection: close"))
        status, headers = await client.head()
        first = await client.read(len(EVENT)) if go is not None else b""
        if go is not None:
            go.set()
        assert "x-gateway-error" in headers or headers["transfer-encoding"] == "chunked"
        try:
            return status, first + await client.rest()
        except ConnectionError:
            return status, first


def cut_honestly(said: bytes) -> None:
    assert b'data: {"error"' in said
    assert b'"upstream_protocol_error"' in said
    assert b"[DONE]" not in said
    assert not said.endswith(b"0\r\n\r\n")
    assert MARK.encode() not in said


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_every_cut_of_a_stream_looks_cut(house: House, ending: str) -> None:
    whole = STREAM + EVENT + scripted.chunk(b"data: [DONE]\n\n")
    for cut in range(0, whole.index(b"[DONE]"), 1 if ending == "close" else 7):
        house.upstream.plan(scripted.raw(whole[:cut], end=ending))  # type: ignore[arg-type]
        status, said = await streamed(house)
        if status == 200:
            cut_honestly(said)
        else:
            assert (status, b'"upstream_protocol_error"' in said) == (502, True)
    await house.next_is_right()


@pytest.mark.parametrize(
    "broken",
    [
        b"xyz\r\n",
        b"-1\r\n",
        b"f" * 17 + b"\r\n",
        b"\r\n",
        b"0x5\r\ndata:\r\n",
        b"5\r\ndata:XX",
        b"5;\0\r\ndata:\r\n",
    ],
)
async def test_a_stream_whose_chunks_break_is_told_and_cut(house: House, broken: bytes) -> None:
    go = asyncio.Event()
    house.upstream.plan(scripted.raw(STREAM + EVENT, go, broken))
    status, said = await streamed(house, go)
    assert (status, said[: len(EVENT)]) == (200, EVENT)
    cut_honestly(said)
    await house.next_is_right()


async def test_a_surplus_answer_that_comes_late_is_nobodys(house: House) -> None:
    """It comes on a connection that waits in the pool: the next question may be another team's."""
    for forged in (misanswers.FORGED, misanswers.FORGED[:30], b"junk"):
        go = asyncio.Event()

        async def send(_: Seen, wire: Wire, go: asyncio.Event = go, forged: bytes = forged) -> None:
            await wire.send(GOOD)
            await go.wait()
            await wire.send(forged)

        house.upstream.plan(scripted.Answer(send))
        assert (await house.ask()).body == BODY
        go.set()
        await house.upstream.until(lambda: house.upstream.open_connections == 0)
        await house.next_is_right()


SPOOFED = (
    *(("Set-Cookie", "a=b"), ("X-Gateway-Cost", "0"), ("X-Gateway-Cache", "hit"), ("X-Gateway-Error", "x")),
    *(("X-Gateway-Upstream", "elsewhere"), ("X-Gateway-Request-Id", "forged"), ("Alt-Svc", 'h2=":1"')),
    *(("OpenAI-Organization", "org-secret"), ("OpenAI-Project", "p"), ("X-RateLimit-Limit-Requests", "1")),
    *(("Keep-Alive", "timeout=5"), ("Proxy-Authenticate", "Basic"), ("Trailer", "X"), ("Upgrade", "h2c")),
    *(
        ("Connection", "openai-version, keep-alive"),
        ("OpenAI-Version", "1"),
        ("Server", "x"),
        ("Via", "1.1 x"),
    ),
    *(("Location", "http://elsewhere/"), ("Refresh", "0; url=http://elsewhere/"), ("WWW-Authenticate", "x")),
    *(
        ("Access-Control-Allow-Origin", "*"),
        ("Strict-Transport-Security", "max-age=1"),
        ("X-Powered-By", "x"),
    ),
    *(("Warning", "caf\xe9"), ("X-Request-Id", "req_1")),
)


async def test_headers_of_the_upstreams_that_are_not_the_clients(house: House) -> None:
    for status in (200, 400, 500):
        house.upstream.plan(scripted.json(status, BODY, SPOOFED))
        response = await house.ask()
        assert response.status == status
        assert set(response.headers) <= {
            *("content-type", "content-length", "date", "x-request-id", "x-gateway-cache"),
            *("x-gateway-request-id", "x-gateway-upstream", "x-gateway-cost"),
            *("deprecation", "sunset"),
        }
        assert response.headers["x-gateway-upstream"] == "scripted"
        assert response.headers["x-gateway-cache"] == "bypass"
        assert response.headers["x-gateway-request-id"] != "forged"
        assert response.headers["x-request-id"] == "req_1"


async def test_an_upstream_that_names_our_key_does_not_name_it_to_clients(house: House) -> None:
    """As OpenAI does in a 401, in part: that answer is the gateway's business."""
    error = {"error": {"message": f"Incorrect API key provided: {REAL}"}}
    house.upstream.plan(scripted.json(401, error, [("WWW-Authenticate", f"Bearer {REAL}")]))
    refused(await house.ask(), (502, "upstream_auth"))


async def test_two_answers_to_two_clients_at_once_do_not_cross(house: House) -> None:
    """Connections that were cut, kept and poisoned, in the midst of others."""

    async def one(number: int) -> None:
        async with Raw(house.gateway.port) as client:
            body = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"number-%d"}]}' % number
            fields = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CLIENT}\r\n"
            await client.send(fields.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            response = await client.response()
            if response.status == 200:
                assert b"number-%d" % number in response.body

    async def echo(seen: Seen, wire: Wire) -> None:
        said = b'{"you":"%b"}' % seen.json()["messages"][0]["content"].encode()
        whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(said) + said
        surplus = (b"", misanswers.FORGED, b"more", misanswers.FORGED[:25])[seen.number % 4]
        # In one write: what comes after the next request was sent, nobody can tell from its answer.
        await wire.send(whole + surplus)

    house.upstream.plan(scripted.Answer(echo))
    for _ in range(4):
        await asyncio.gather(*map(one, range(25)))
