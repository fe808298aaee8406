"""Nothing secret comes out where it must not: requests of every kind, and then a search for their words."""

import asyncio
import contextlib
import hashlib
import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import scripted
from tests.running import configuration
from tests.scripted import Answer, Scripted, close_now, hold, raw, reset, sse
from tests.served import Served, served
from tests.web.raw import Raw

ROOT = Path(__file__).parent.parent.parent
MARK = "qZ7x"  # in everything that must not come out; nothing else has it
REAL = f"sk-real-{MARK}-0123456789abcdef"
CLIENT = f"sk-gw-{MARK}-client-0123456789abcdef"
ADMIN = f"sk-gw-admin-{MARK}-0123456789abcdef"
STRANGER = f"sk-gw-00c0ffee-{MARK}stranger"
ANSWER = f"{MARK}-the-answer"
ALIAS = f"{MARK}-alias"
ENVIRONMENT = {"ADMIN": ADMIN, "REAL": REAL, "KEY": CLIENT}
CHAT = "/v1/chat/completions"
MORE = f"""
[models.aliases]
"{ALIAS}" = "gpt-4o-mini"
"""
DELTA = {"id": "c", "choices": [{"index": 0, "delta": {"content": ANSWER}, "finish_reason": None}]}
TOOL = {"name": "look", "arguments": json.dumps({"at": f"{MARK}-argument"})}
ERROR = {"error": {"message": f"{MARK} {REAL}", "type": "t", "param": None, "code": f"{MARK}-code"}}

MALFORMED = (
    b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\x00\x01\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization\x01: Bearer %b\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n folded\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\xff%b\r\n\r\n",
    b"GET /v1/models?%b HTTP/9.9\r\nHost: a\r\n\r\n",
    b"GET http://[%b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: %b@a b\r\n\r\n",
    b"%b\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: a\r\nCookie: " + b"%b" * 1000 + b"\r\n\r\n",
)


def failures() -> Iterator[Answer]:
    """Every way in which the scripted upstream can fail, and what it says carries the mark."""
    for status in (302, 400, 401, 403, 404, 408, 429, 500, 503):
        yield scripted.json(status, ERROR, [("Location", f"http://{MARK}.invalid/"), ("x-request-id", MARK)])
    yield scripted.json(200, MARK.encode())
    yield scripted.json(200, MARK.encode(), [("Content-Encoding", "gzip")])
    yield scripted.json(200, [MARK], [("Content-Type", f"text/{MARK}")])
    yield from (close_now, reset, hold(asyncio.Event()))
    ends: tuple[scripted.End, ...] = ("cut", "reset", "hang", "clean")
    yield from (sse([DELTA], end=end) for end in ends)
    yield sse([DELTA, ERROR])
    yield sse([DELTA, f"data: {MARK}\n\n".encode()], end="cut")
    mark = MARK.encode()
    yield raw(mark + b"\r\n\r\n", end="close")
    yield raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + mark, end="close")
    yield raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n" % mark, end="close")
    yield raw(b"HTTP/1.1 200 OK\r\n%b\x00: a\r\n\r\n" % mark, end="close")


class Talk:
    """A client and an admin of one gateway, and what the gateway itself said to them."""

    def __init__(self, gateway: Served, session: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.session = session
        self.said: list[str] = []
        self._seed = 0

    def question(self, **more: Any) -> dict[str, Any]:
        self._seed += 1
        said = [
            {"role": "user", "content": f"{MARK}-prompt"},
            {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": TOOL}]},
        ]
        return {"model": ALIAS, "seed": self._seed, "messages": said} | more

    async def ask(self, body: Any, key: str = CLIENT, path: str = CHAT, method: str = "POST") -> int:
        headers = {"Authorization": f"Bearer {key}", "x-gateway-tags": f"cost={MARK}", "Cookie": f"a={MARK}"}
        how: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        url = f"{self.gateway.url}{path}?note={MARK}"
        async with self.session.request(method, url, headers=headers, allow_redirects=False, **how) as answer:
            try:
                text = await answer.text(errors="replace")
            except aiohttp.ClientPayloadError:
                text = ""
            if "x-gateway-error" in answer.headers:
                self.said.append(text)
            return int(answer.status)

    async def admin(self, method: str, path: str, body: Any = None, key: str = ADMIN) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        url = self.gateway.admin_url + path
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            text = await answer.text()
            if method != "POST" or answer.status >= 400:
                self.said.append(text)
            return json.loads(text)


async def good_requests(talk: Talk, upstream: Scripted) -> None:
    upstream.plan(scripted.chat(ANSWER))
    asked = talk.question()
    assert [await talk.ask(asked) for _ in range(2)] == [200, 200]
    upstream.plan()
    for path, body in (
        (CHAT, talk.question(stream=True)),
        ("/v1/completions", {"model": ALIAS, "prompt": f"{MARK}-prompt"}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": f"{MARK}-prompt"}),
        ("/v1/responses", {"model": ALIAS, "input": f"{MARK}-prompt", "stream": True}),
        ("/v1/moderations", {"input": f"{MARK}-prompt"}),
    ):
        assert await talk.ask(body, path=path) == 200
    assert await talk.ask(b"", path="/v1/models", method="GET") == 200


async def refused_requests(talk: Talk) -> None:
    assert await talk.ask(talk.question(), key=STRANGER) == 401
    assert await talk.ask(talk.question(model="gpt-forbidden")) == 403
    assert await talk.ask(talk.question(max_tokens=MARK)) == 400
    assert await talk.ask(b'{"model": "%b", ' % MARK.encode()) == 400
    assert await talk.ask(b'{"model": "%b", "model": "%b"}' % ((MARK.encode(),) * 2)) == 400
    assert await talk.ask({}, path="/v1/nothing") == 404
    assert await talk.ask({}, method="PATCH") == 405


async def failed_requests(talk: Talk, upstream: Scripted) -> None:
    for failure in failures():
        upstream.plan(failure)
        for stream in (False, True):
            await talk.ask(talk.question(stream=stream))


async def abandoned_requests(talk: Talk, upstream: Scripted) -> None:
    """Clients that hang up: while they wait, and in the middle of a stream."""
    headers = {"Authorization": f"Bearer {CLIENT}"}
    for count, answer in enumerate((hold(asyncio.Event()), sse([DELTA], end="hang")), upstream.hangups + 1):
        upstream.plan(answer)
        calls = upstream.calls
        body = talk.question(stream=True)
        asking = asyncio.create_task(talk.session.post(talk.gateway.url + CHAT, json=body, headers=headers))
        await upstream.received(calls + 1)
        if upstream.sent:
            (await asking).close()
        else:
            asking.cancel()
        await upstream.disconnected(count)
        await asyncio.gather(asking, return_exceptions=True)


async def malformed_requests(talk: Talk) -> None:
    for port in (talk.gateway.port, talk.gateway.admin_port):
        for message in MALFORMED:
            async with Raw(port) as client:
                await client.send(message.replace(b"%b", MARK.encode()))
                answer = await client.response()
                assert answer.status >= 400
                talk.said.append(f"{answer.headers} {answer.body.decode()}")


async def admin_calls(talk: Talk) -> str:
    """Makes, shows, lists, changes and revokes; returns the key that stays."""
    for key in (STRANGER, CLIENT, f"{MARK} {MARK}"):
        assert "error" in await talk.admin("GET", "/admin/v1/keys", key=key)
        assert "error" in await talk.admin("POST", "/admin/v1/keys", {"name": "x"}, key=key)
    made = [await talk.admin("POST", "/admin/v1/keys", {"name": "made"}) for _ in range(2)]
    for one in made:
        assert await talk.ask(talk.question(), key=one["key"]) == 200
        await talk.admin("PATCH", f"/admin/v1/keys/{one['id']}", {"limits": ["9 requests/minute"]})
        await talk.admin("GET", f"/admin/v1/limits/{one['id']}")
        await talk.admin("GET", f"/admin/v1/keys/{one['id']}")
    await talk.admin("DELETE", f"/admin/v1/keys/{made[0]['id']}")
    for path in ("keys", "teams", "upstreams", "keys/test", f"keys/{made[0]['id']}"):
        await talk.admin("GET", f"/admin/v1/{path}")
    return str(made[1]["key"])


@contextlib.asynccontextmanager
async def talking(upstream: Scripted, folder: Path) -> AsyncIterator[Talk]:
    text = configuration(upstream.base_url, folder / "data", MORE)
    text = text.replace('"env:REAL"', '"env:REAL"\nfirst_byte_timeout = "1s"\nidle_timeout = "1s"')
    text = text.replace('"env:KEY"', '"env:KEY"\nmodels = ["gpt-4*", "text-*", "omni-*", "*-alias"]')
    async with (
        served(folder, config=text, environ=ENVIRONMENT) as gateway,
        aiohttp.ClientSession() as session,
    ):
        yield Talk(gateway, session)


async def metrics(talk: Talk) -> str:
    async with talk.session.get(talk.gateway.admin_url + "/metrics") as answer:
        return await answer.text()


def marked(text: str) -> list[str]:
    return [line for line in text.splitlines() if MARK.lower() in line.lower()]


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.timeout(180)
async def test_no_secret_comes_out(upstream: Scripted, tmp_path: Path) -> None:
    async with talking(upstream, tmp_path) as talk:
        await good_requests(talk, upstream)
        await refused_requests(talk)
        await failed_requests(talk, upstream)
        await abandoned_requests(talk, upstream)
        await malformed_requests(talk)
        upstream.plan()
        made = await admin_calls(talk)
        page = await metrics(talk)
        talk.gateway.signal(signal.SIGKILL)
        await talk.gateway.ended()
    async with talking(upstream, tmp_path) as again:
        assert await again.ask(again.question(), key=made) == 200
        page += await metrics(again)
    output = talk.gateway.output + again.gateway.output
    assert output.count("gateway.access") > 60
    secret = made.rpartition("-")[2]
    assert secret not in output + page + "".join(talk.said)
    assert marked(output) == []
    assert marked(page) == []
    assert [text for text in talk.said + again.said if marked(text)] == []
    _the_store_has_digests_alone(on_disk(tmp_path / "data"), made)


def _the_store_has_digests_alone(kept: bytes, made: str) -> None:
    for key in (REAL, CLIENT, ADMIN, STRANGER, made, made.rpartition("-")[2]):
        assert key.encode() not in kept
    assert hashlib.sha256(made.encode()).hexdigest().encode() in kept
    assert f"{MARK}-argument".encode() not in kept  # of a question
    # Cached answers are kept as they are; who runs the gateway is told.
    assert ANSWER.encode() in kept
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert "Cached answers are in it in the clear" in page.replace("\n", " ")
