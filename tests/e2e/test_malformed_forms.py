"""Forms through a gateway as people run it: what could hide a model never makes a whole request.

What gets through has been compared with what ten other parsers read in it: `tests/misforms.py` has a row for
each way in which one of them read something else.
"""

import asyncio
import contextlib
import json as jsonlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests import misforms
from tests.misforms import END, FORM, GOOD, MARK, MODEL, MULTIPART, NAMED, Form
from tests.running import configuration
from tests.scripted import Scripted, json
from tests.served import Served, served
from tests.web.raw import Raw, Response

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKED = "qZ7x"  # in every key
REAL = f"sk-real-{MARKED}-0123456789abcdef"
CLIENT = f"sk-gw-{MARKED}-client-0123456789abcdef"
ADMIN = f"sk-gw-admin-{MARKED}-0123456789abcdef"
ENVIRONMENT = {"ADMIN": ADMIN, "REAL": REAL, "KEY": CLIENT}
SPEECH = "/v1/audio/transcriptions"
LIMIT = 9_000_000
TEXT = {"text": "Hello.", "usage": {"type": "tokens", "input_tokens": 9, "output_tokens": 3}}
OPEN = '[endpoints]\nallow = ["all"]\nownership = "off"\n[cache]\nenabled = false\n'


@dataclass(slots=True)
class House:
    gateway: Served
    upstream: Scripted

    def head(self, length: int | None, *fields: str, content_type: str = FORM) -> bytes:
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [f"POST {SPEECH} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {CLIENT}", framing]
        return "\r\n".join([*lines, f"Content-Type: {content_type}", *fields, "", ""]).encode("latin-1")

    def refused(self, response: Response, owed: tuple[int, str]) -> None:
        assert (response.status, response.code) == owed, response.body
        assert MARKED not in f"{response.headers} {response.body.decode()}"
        assert jsonlib.loads(response.body)["error"]["message"]

    @contextlib.asynccontextmanager
    async def nothing_whole(self) -> AsyncIterator[None]:
        """The upstream may see a request begin; it sees none end, and is not kept."""
        before = self.upstream.calls
        yield
        assert self.upstream.calls == before


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    async with Scripted(key=REAL) as upstream:
        upstream.plan(json(200, TEXT))
        times = f'body_timeout = "1s"\nmax_upload = "{LIMIT // 10**6}MB"'
        text = configuration(upstream.base_url, folder / "data", OPEN)
        text = text.replace("[server]", f"[server]\n{times}")
        async with served(folder, config=text, environ=ENVIRONMENT) as gateway:
            yield House(gateway, upstream)
        assert "Traceback" not in gateway.output
        assert [line for line in gateway.output.splitlines() if MARKED in line] == []
        assert [line for line in gateway.output.splitlines() if '"level":"error"' in line.lower()] == []


async def in_step(client: Raw, response: Response) -> None:
    """The connection ends, or the next request on it is read from its beginning."""
    if response.headers.get("connection") == "close":
        assert await client.closed()
        return
    await client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await client.response()).status == 200


def chunks(pieces: Iterable[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("form", misforms.CASES, ids=str)
async def test_what_could_be_read_in_two_ways_is_refused(house: House, form: Form, framing: str) -> None:
    whole = framing == "length"
    head = house.head(len(form.body) if whole else None, *form.fields, content_type=form.content_type)
    async with house.nothing_whole(), Raw(house.gateway.port) as client:
        body = form.body if whole else chunks([form.body])
        sending = asyncio.create_task(client.send(head + body))
        response = await client.response()
        house.refused(response, form.owed)
        await asyncio.gather(sending, return_exceptions=True)
        await in_step(client, response)


@pytest.mark.parametrize("name", misforms.PLAIN)
async def test_what_is_plain_passes_byte_for_byte(house: House, name: str) -> None:
    form = misforms.PLAIN[name]
    for size in (1, 7, len(form)):
        pieces = [form[at : at + size] for at in range(0, len(form), size)]
        async with Raw(house.gateway.port) as client:
            await client.send(house.head(None) + chunks(pieces))
            response = await client.response()
        assert response.status == 200, response.body
        assert house.upstream.requests[-1].body == form
        assert house.upstream.requests[-1].header("content-type") == FORM


async def test_a_form_passes_wherever_it_is_cut_into_two_chunks(house: House) -> None:
    async with Raw(house.gateway.port) as client:
        for cut in range(1, len(GOOD)):
            await client.send(house.head(None) + chunks([GOOD[:cut], GOOD[cut:]]))
            assert (await client.response()).status == 200
            assert house.upstream.requests[-1].body == GOOD


async def test_every_cut_of_a_form_is_refused(house: House) -> None:
    """The message is whole, and the form in it is not."""
    async with house.nothing_whole(), Raw(house.gateway.port) as client:
        for cut in range(1, GOOD.rindex(b"--") + 1):
            await client.send(house.head(cut) + GOOD[:cut])
            house.refused(await client.response(), MULTIPART)


async def test_every_cut_of_a_message_is_no_request(house: House) -> None:
    async def cut(at: int) -> None:
        async with Raw(house.gateway.port) as client:
            await client.send(house.head(len(GOOD)) + GOOD[:at])
            client.leave()

    async with house.nothing_whole():
        await asyncio.gather(*(cut(at) for at in range(len(GOOD))))
        async with Raw(house.gateway.port) as client:
            await client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response()).status == 200


async def test_a_length_that_is_too_long_is_waited_for_and_given_up(house: House) -> None:
    async with house.nothing_whole(), Raw(house.gateway.port) as client:
        await client.send(house.head(len(GOOD) + 1) + GOOD)
        response = await client.response()
        house.refused(response, (408, "request_timeout"))
        assert response.headers["connection"] == "close"
        assert await client.closed()


async def test_what_is_behind_a_length_that_is_too_short_is_no_part_of_the_form(house: House) -> None:
    async with house.nothing_whole(), Raw(house.gateway.port) as client:
        await client.send(house.head(len(GOOD) - 4) + GOOD)
        response = await client.response()
        assert response.status == 400
        if response.code == MULTIPART[1]:
            house.refused(await client.response(), (400, "malformed_http"))
        assert await client.closed()


@pytest.mark.parametrize(
    ("before", "owed"),
    [
        (MODEL + MARK + b"\r\n" + NAMED % b"file" + b'; filename="a"\r\n\r\n', (413, "request_too_large")),
        (MARK + b"\r\n" + NAMED % b"file" + b'; filename="a"\r\n\r\n', (413, "request_too_large")),
        (MARK + b"\r\n" + NAMED % b"model" + b"\r\n\r\n", MULTIPART),
        (MARK + b"\r\nX: ", MULTIPART),
        (MODEL + END, MULTIPART),
    ],
    ids=["file", "file first", "model", "head", "epilogue"],
)
async def test_what_never_ends_is_refused_as_soon_as_it_is_too_much(
    house: House, before: bytes, owed: tuple[int, str]
) -> None:
    async with house.nothing_whole(), Raw(house.gateway.port) as client:
        await client.send(house.head(None) + b"%x\r\n%b\r\n" % (len(before), before))

        async def pour() -> None:
            while True:
                await client.send(b"10000\r\n" + b"x" * 2**16 + b"\r\n")

        pouring = asyncio.create_task(pour())
        response = await client.response()
        house.refused(response, owed)
        assert response.headers["connection"] == "close"
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)


async def test_a_form_that_is_waited_for_is_asked_for_once_and_judged(house: House) -> None:
    for form, status in ((GOOD, 200), (MODEL + GOOD, 400)):
        async with Raw(house.gateway.port) as client:
            await client.send(house.head(len(form), "Expect: 100-continue"))
            assert (await client.head())[0] == 100
            await client.send(form)
            assert (await client.response()).status == status


async def test_two_types_are_no_type(house: House) -> None:
    async with house.nothing_whole(), Raw(house.gateway.port) as client:
        await client.send(house.head(len(GOOD), "Content-Type: multipart/form-data; boundary=x") + GOOD)
        house.refused(await client.response(), (400, "malformed_http"))
        assert await client.closed()
