"""What is passed on as it comes: an answer that is none is a 502, or a body that looks cut; never another's.

The same answers as for what is read here, at operations that are not; with ownership, where lists are read.
"""

import asyncio
import contextlib
import gzip
import itertools
import json as jsonlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import psutil
import pytest
import pytest_asyncio

from tests import misanswers, scripted
from tests.misanswers import BODY, CHUNKED, FORGED, LENGTH, Answer
from tests.running import configuration
from tests.scripted import Scripted, Seen, Wire
from tests.served import Served, served
from tests.web.raw import Raw, Response

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "qZ7x"  # in every key
REAL = f"sk-real-{MARK}-0123456789abcdef"
CLIENT = f"sk-gw-{MARK}-client-0123456789abcdef"
ADMIN = f"sk-gw-admin-{MARK}-0123456789abcdef"
ENVIRONMENT = {"ADMIN": ADMIN, "REAL": REAL, "KEY": CLIENT}
TIMES = 'first_byte_timeout = "1s"\nidle_timeout = "1s"'
FILE = {"id": "file-abc", "object": "file", "bytes": 1, "purpose": "batch", "filename": "a.bin"}
LIST = jsonlib.dumps({"object": "list", "data": [FILE], "has_more": False}).encode()
SPOKEN = jsonlib.dumps({"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "hi"})

OPERATIONS = {
    "content": ("GET", "/v1/files/file-abc/content", ""),
    "list": ("GET", "/v1/files", ""),
    "speech": ("POST", "/v1/audio/speech", SPOKEN),
    "delete": ("DELETE", "/v1/files/file-abc", ""),
}
# Of what is refused where an answer is read, this is an answer here: as it is, and whatever it is.
PASSED = {str(answer) for answer in misanswers.bodies()} | {"205 with a forged answer"}


@dataclass(slots=True)
class House:
    gateway: Served
    upstream: Scripted
    reads_lists: bool
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def request(self, name: str, *fields: str) -> str:
        method, path, body = OPERATIONS[name]
        lines = [f"{method} {path} HTTP/1.1", "Host: a", f"Authorization: Bearer {CLIENT}", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", body])

    async def ask(self, name: str, *fields: str) -> Response | None:
        """None: the connection was reset."""
        async with Raw(self.gateway.port) as client:
            await client.send(self.request(name, *fields))
            try:
                response = await client.response()
            except ConnectionError:
                return None
        assert MARK not in f"{response.headers} {response.body!r}"
        assert b"forged" not in response.body
        assert not {"x-forged", "set-cookie"} & set(response.headers)
        assert "forged" not in str(response.headers)
        return response

    async def make(self) -> None:
        """The file is the client's again, whatever became of it."""
        self.upstream.plan(scripted.json(200, FILE))
        body = b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n'
        async with Raw(self.gateway.port) as client:
            fields = f"POST /v1/files HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CLIENT}\r\n"
            kind = f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n"
            await client.send((fields + kind).encode() + body)
            assert (await client.response()).status == 200

    async def next_is_right(self) -> None:
        mine = b'{"mine":%d}' % next(self.numbers)
        self.upstream.plan(scripted.json(200, mine))
        response = await self.ask("speech")
        assert response is not None
        assert (response.status, response.body) == (200, mine)

    def answers(self, answer: Answer) -> None:
        parts = (part.replace(b"{trap}", b"1") for part in answer.parts)
        self.upstream.plan(scripted.raw(*parts, end=answer.end))  # type: ignore[arg-type]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["off", "on"])
async def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    async with Scripted(key=REAL) as upstream:
        more = f'[endpoints]\nallow = ["all"]\nownership = "{request.param}"\n[cache]\nenabled = false'
        text = configuration(upstream.base_url, folder / "data", more)
        text = text.replace('"env:REAL"', f'"env:REAL"\n{TIMES}')
        async with served(folder, config=text, environ=ENVIRONMENT) as gateway:
            home = House(gateway, upstream, request.param == "on")
            yield home
        assert "Traceback" not in gateway.output
        assert [line for line in gateway.output.splitlines() if MARK in line] == []
        assert [line for line in gateway.output.splitlines() if '"level":"error"' in line.lower()] == []


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _made(house: House) -> None:
    await house.make()


def refused(response: Response | None, owed: tuple[int, str]) -> None:
    assert response is not None
    assert (response.status, response.code) == owed, response.body
    assert response.headers["x-gateway-error"] == owed[1]


def cut_or_refused(response: Response | None, owed: tuple[int, str]) -> None:
    """What had begun to come is handed on, and looks cut; else it is said."""
    if response is not None and response.whole:
        refused(response, owed)
    elif response is not None:
        assert response.status == 200
        assert BODY.startswith(response.body)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_answer_that_is_none_is_refused_or_looks_cut(house: House, name: str) -> None:
    for answer in misanswers.REFUSED:
        house.answers(answer)
        response = await house.ask(name)
        if str(answer) not in PASSED:
            allowed = "with" in str(answer) or "more" in str(answer)
            if not (allowed and response is not None and response.whole and response.status < 300):
                cut_or_refused(response, answer.owed)
        elif name == "list" and house.reads_lists:
            refused(response, misanswers.PROTOCOL)
        else:
            assert response is not None, str(answer)
            assert response.whole
            assert response.status in (200, 205), str(answer)
            if response.status == 200:
                assert answer.parts[0].endswith(response.body)
        await house.next_is_right()
        if name == "delete":
            await house.make()


@pytest.mark.parametrize("name", OPERATIONS)
async def test_what_does_not_come_is_a_504_or_looks_cut(house: House, name: str) -> None:
    slow = misanswers.SLOW if name != "delete" else misanswers.SLOW[-1:]  # the first to begin deletes it
    hangups = house.upstream.hangups
    house.upstream.plan(*(scripted.raw(*answer.parts, end="hang") for answer in slow))
    for response in await asyncio.gather(*(house.ask(name) for _ in slow)):
        cut_or_refused(response, misanswers.TIMEOUT)
    await house.upstream.disconnected(hangups + len(slow))
    await house.next_is_right()


@pytest.mark.parametrize("name", ["content", "speech", "delete"])
async def test_what_is_odd_and_an_answer_is_passed_on(house: House, name: str) -> None:
    for answer in misanswers.ODD:
        house.answers(answer)
        response = await house.ask(name)
        assert response is not None
        assert (response.status, response.body, response.whole) == (200, BODY, True), str(answer)
        await house.next_is_right()
        if name == "delete":
            await house.make()


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_every_cut_of_an_answer_looks_cut(house: House, framing: str) -> None:
    whole = misanswers.GOOD
    if framing == "chunks":
        whole = misanswers.IN_CHUNKS + misanswers.CHUNK + misanswers.LAST
    for cut in range(len(whole)):
        house.upstream.plan(scripted.raw(whole[:cut], end="close" if cut % 2 else "reset"))
        cut_or_refused(await house.ask("content"), misanswers.PROTOCOL)
    await house.next_is_right()


async def test_a_surplus_answer_is_nobodys(house: House) -> None:
    """It comes on a connection that waits in the pool: the next question may be another team's."""
    for head in (b"HTTP/1.1 204 No Content\r\n\r\n", misanswers.HEAD + LENGTH + b"\r\n" + BODY):
        for forged in (FORGED, FORGED[:30], b"junk"):
            go = asyncio.Event()

            async def send(
                _: Seen, wire: Wire, go: asyncio.Event = go, head: bytes = head, forged: bytes = forged
            ) -> None:
                await wire.send(head)
                await go.wait()
                await wire.send(forged)

            house.upstream.plan(scripted.Answer(send))
            assert (await house.ask("content")) is not None
            go.set()
            await house.upstream.until(lambda: house.upstream.open_connections == 0)
            await house.next_is_right()


# ---- what a download may ask for --------------------------------------------------------------------------


def plain(status: int, body: bytes, *fields: str) -> scripted.Answer:
    lines = "".join(f"{field}\r\n" for field in fields)
    head = f"HTTP/1.1 {status} Scripted\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    return scripted.raw(head.encode() + body)


async def test_a_part_of_a_file_is_a_206(house: House) -> None:
    house.upstream.plan(plain(206, b"cd", "Content-Range: bytes 2-3/9", 'ETag: "1"'))
    response = await house.ask("content", "Range: bytes=2-3", 'If-Range: "1"')
    assert response is not None
    assert (response.status, response.body) == (206, b"cd")
    assert (response.headers["content-range"], response.headers["etag"]) == ("bytes 2-3/9", '"1"')
    seen = house.upstream.requests[-1]
    assert (seen.header("range"), seen.header("if-range")) == ("bytes=2-3", '"1"')
    house.upstream.plan(plain(416, b"{}", "Content-Range: bytes */9"))
    response = await house.ask("content", "Range: bytes=20-30")
    assert response is not None
    assert (response.status, response.headers["content-range"]) == (416, "bytes */9")
    await house.next_is_right()


@pytest.mark.parametrize(
    "condition", ['If-None-Match: "1"', "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"]
)
async def test_a_file_that_has_not_changed_is_a_304(house: House, condition: str) -> None:
    connections = house.upstream.connections
    for fields in ('ETag: "1"\r\n', 'ETag: "1"\r\nContent-Length: 1234\r\n'):
        house.upstream.plan(scripted.raw(f"HTTP/1.1 304 Not Modified\r\n{fields}\r\n".encode()))
        async with Raw(house.gateway.port) as client:
            await client.send(house.request("content", condition))
            status, headers = await client.head()
            assert (status, headers["etag"]) == (304, '"1"')
            assert "content-length" not in headers
            house.upstream.plan(scripted.json(200, {"next": 1}))
            await client.send(house.request("speech"))
            assert (await client.response()).body == b'{"next":1}'
    assert house.upstream.connections <= connections + 1


async def test_that_nothing_has_changed_is_no_answer_to_who_did_not_ask(house: House) -> None:
    for name in OPERATIONS:
        house.upstream.plan(scripted.raw(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'))
        refused(await house.ask(name), misanswers.PROTOCOL)
    house.upstream.plan(scripted.raw(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'))
    refused(await house.ask("list", 'If-None-Match: "1"'), misanswers.PROTOCOL)


async def test_a_list_is_asked_for_as_a_whole(house: House) -> None:
    house.upstream.plan(
        plain(200, LIST, "Content-Type: application/json", 'ETag: "1"', "Accept-Ranges: bytes")
    )
    response = await house.ask("list", "Range: bytes=0-5", 'If-None-Match: "1"', 'If-Range: "1"')
    assert response is not None
    assert response.status == 200
    assert {each["id"] for each in jsonlib.loads(response.body)["data"]} == {"file-abc"}
    seen = house.upstream.requests[-1]
    assert [seen.header(name) for name in ("range", "if-none-match", "if-range")] == [None] * 3
    assert ("etag" in response.headers) is not house.reads_lists


async def test_the_head_of_a_download_is_not_to_be_had_alone(house: House) -> None:
    async with Raw(house.gateway.port) as client:
        await client.send(house.request("content").replace("GET", "HEAD", 1))
        status, headers = await client.head()
        assert (status, headers["x-gateway-error"]) == (405, "method_not_allowed")
        assert "GET" in headers["allow"]
        client.method = "GET"
        await client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.response()).status == 200


async def test_what_is_packed_is_passed_on_packed(house: House) -> None:
    packed = gzip.compress(b"rows\n" * 1000)
    house.upstream.plan(plain(200, packed, "Content-Encoding: gzip", "Content-Type: application/jsonl"))
    response = await house.ask("content", "Accept-Encoding: gzip")
    assert response is not None
    assert (response.body, response.headers["content-encoding"]) == (packed, "gzip")
    assert house.upstream.requests[-1].header("accept-encoding") == "identity"
    house.upstream.plan(
        plain(200, gzip.compress(LIST), "Content-Encoding: gzip", "Content-Type: application/json")
    )
    response = await house.ask("list")
    assert response is not None
    if house.reads_lists:
        refused(response, misanswers.PROTOCOL)
    else:
        assert gzip.decompress(response.body) == LIST


async def test_trailers_go_nowhere(house: House) -> None:
    head = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n" + CHUNKED + b"\r\n"
    house.upstream.plan(scripted.raw(head + misanswers.CHUNK + b"0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\n\r\n"))
    async with Raw(house.gateway.port) as client:
        await client.send(house.request("content"))
        status, headers = await client.head()
        assert (status, "trailer" in headers) == (200, False)
        assert await client._chunks() == BODY
        house.upstream.plan(scripted.json(200, {"next": 1}))
        await client.send(house.request("speech"))
        assert (await client.response()).body == b'{"next":1}'


# ---- who leaves, and who is slow --------------------------------------------------------------------------


async def _pour(_: Seen, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while True:
            await wire.send(bytes(2**16))
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", ["content", "speech"])
async def test_who_leaves_in_the_middle_leaves_nothing_behind(house: House, name: str) -> None:
    process = psutil.Process(house.gateway.process.pid)
    await house.next_is_right()
    await house.upstream.until(lambda: house.upstream.open_connections <= 1)
    before = process.num_fds()
    house.upstream.plan(scripted.Answer(_pour))
    hangups = house.upstream.hangups

    async def leave(number: int) -> None:
        async with Raw(house.gateway.port) as client:
            await client.send(house.request(name))
            await client.head()
            if number % 2:
                await client.read(10_000)
            client.leave()

    await asyncio.gather(*map(leave, range(30)))
    async with asyncio.timeout(5):
        await house.upstream.disconnected(hangups + 30)
    await house.next_is_right()
    async with asyncio.timeout(10):
        while process.num_fds() > before + 2:
            await asyncio.sleep(0.05)
