"""The lane and the gateway's own connections, attacked by exact bytes from both sides."""

import asyncio
import gzip
import json
import logging
import os
import socket
import struct
from typing import Any

import pytest

from tests import books
from tests.conftest import Start
from tests.running import ADMIN_KEY, KEY, REAL_KEY, Running
from tests.scripted import Answer, Scripted, chat, early, raw, sse
from tests.waiting import until

PROOF = bool(os.environ.get("GATEWAY_PROOF"))
IDLE = 5_000 if PROOF else 300
CHAT = b"/v1/chat/completions"
PROMPT = "canary-prompt-83f1"
BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}]}).encode()
GOOD = json.dumps({"id": "x", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}).encode()
KEYED = b"Authorization: Bearer %b\r\n" % KEY.encode()


def request(
    *more: bytes, line: bytes = b"POST %b HTTP/1.1" % CHAT, body: bytes = BODY, key: bytes = KEYED
) -> bytes:
    fields = b"".join(each + b"\r\n" for each in more)
    head = b"%b\r\nHost: a\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
    return head % (line, key, len(body), fields) + body


class Client:
    """A connection, and the answers on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, gateway: Running) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", gateway.app.listeners.public_port))

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head[:-4].split("\r\n")
        headers = dict(field.lower().split(": ", 1) for field in fields)
        if headers.get("transfer-encoding") == "chunked":
            return int(line.split()[1]), headers, await self.reader.readuntil(b"0\r\n\r\n")
        return int(line.split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def all(self) -> bytes:
        """Whatever comes until the connection ends."""
        async with asyncio.timeout(20):
            with_rest = bytearray()
            try:
                while data := await self.reader.read(65536):
                    with_rest += data
            except ConnectionError:
                pass
            return bytes(with_rest)

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


def lanes(gateway: Running) -> Any:
    return gateway.app.listeners._public._server._lanes


# ---- clients --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("requests", [1, 2, 5])
async def test_who_sends_the_next_before_the_answer_and_leaves_leaves_nothing_behind(
    start: Start, upstream: Scripted, requests: int
) -> None:
    """A request that is cancelled before its first step, right behind another's answer, as well."""
    gateway = await start("[cache]\nenabled = false\n", limits='["1000 requests/day", "50 concurrent"]')
    for turn in range(30):
        for refused in (
            False,
            True,
        ):  # of those that are refused the next begins in the same turn of the loop
            client = await Client.to(gateway)
            client.writer.write(request(key=b"" if refused else KEYED) * requests)
            for _ in range(turn):
                await asyncio.sleep(0)
            client.reset() if turn % 2 else client.writer.close()
    await until(lambda: not gateway.gateway.serving and not gateway.gateway.tasks.running())
    if lanes(gateway) is not None:
        await until(lambda: not lanes(gateway).open)
    await books.agree(gateway, gateway.gateway.clients.everybody())


async def test_two_tenants_on_one_connection_are_told_apart(start: Start, upstream: Scripted) -> None:
    gateway = await start('[[teams]]\nname = "other"\n')
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "o", "team": "other"}) as answer:
        other = (await answer.json())["key"].encode()
    keys = [KEYED, b"Authorization: Bearer %b\r\n" % other, b"", b"Authorization: Bearer x\r\n"]
    client = await Client.to(gateway)
    for _ in range(3):
        client.writer.write(b"".join(request(key=key) for key in keys))
        assert [(await client.answer())[0] for _ in keys] == [200, 200, 401, 401]
    written = await books.rows(gateway)
    assert [row.team for row in written] == ["research", "other"] * 3
    assert [row.cache for row in written] == ["miss"] * 2 + ["hit"] * 4
    client.writer.close()


async def test_handed_over_in_the_middle_of_a_pipeline_with_bodies(start: Start, upstream: Scripted) -> None:
    gateway = await start("[cache]\nenabled = false\n")
    chunked = BODY[:20], BODY[20:]
    odd = b"POST %b HTTP/1.1\r\nHost: a\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (CHAT, KEYED)
    odd += b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in chunked) + b"0\r\n\r\n"
    models = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n%b\r\n" % KEYED
    whole = request() + request() + models + request() + odd
    for size in (len(whole), 1, 7, 700):
        client = await Client.to(gateway)
        before = upstream.calls
        for at in range(0, len(whole), size):
            client.writer.write(whole[at : at + size])
            if size > 1 or at % 50 == 0:
                await asyncio.sleep(0)
        statuses = [(await client.answer())[0] for _ in range(5)]
        assert statuses == [200] * 5
        assert [seen.body for seen in upstream.requests[before:] if seen.method == "POST"][:4] == [BODY] * 4
        client.writer.close()


SMUGGLING = {
    "two lengths": request(b"Content-Length: %d" % len(BODY)),
    "two different lengths": request(b"Content-Length: 3"),
    "length and chunked": request(b"Transfer-Encoding: chunked"),
    "chunked in a fold": request(b"X: y\r\n Transfer-Encoding: chunked"),
    "fold": request(b"X: y\r\n\tz"),
    "space before the colon": request(b"Transfer-Encoding : chunked"),
    "space behind the length": request().replace(b"Length: %d" % len(BODY), b"Length: %d   " % len(BODY)),
    "plus": request().replace(b"Length: ", b"Length: +"),
    "names in capitals": request().replace(b"Content-Length", b"CONTENT-LENGTH"),
    "two keys": request(b"authorization: Bearer sk-gw-other"),
    "two keys of two kinds": request(b"api-key: sk-gw-other"),
    "absolute form": request(line=b"POST http://b%b HTTP/1.1" % CHAT),
    "two slashes": request(line=b"POST /%b HTTP/1.1" % CHAT),
    "escaped letter": request(line=b"POST /v1/ch%61t/completions HTTP/1.1"),
    "escaped slash": request(line=b"POST /v1%2fchat/completions HTTP/1.1"),
    "dots": request(line=b"POST /v1/x/../chat/completions HTTP/1.1"),
    "query": request(line=b"POST %b?a=b%%20c&a=%%0d%%0aX:y HTTP/1.1" % CHAT),
    "two question marks": request(line=b"POST %b??/v1/models HTTP/1.1" % CHAT),
    "fragment": request(line=b"POST %b#x HTTP/1.1" % CHAT),
    "query in no ASCII": request(line=b"POST %b?\xc3\xa9 HTTP/1.1" % CHAT),
    "semicolon": request(line=b"POST %b;x HTTP/1.1" % CHAT),
    "NUL in a value": request(b"X: a\x00b"),
    "NUL in a name": request(b"X\x00: a"),
    "bare line feed": request(b"X: a\nTransfer-Encoding: chunked"),
    "bare return": request(b"X: a\rTransfer-Encoding: chunked"),
    "no host": request().replace(b"Host: a\r\n", b""),
    "two hosts": request(b"Host: b"),
    "lower method": request(line=b"post %b HTTP/1.1" % CHAT),
    "version 1.0": request(line=b"POST %b HTTP/1.0" % CHAT),
    "version 1.0 kept": request(b"Connection: keep-alive", line=b"POST %b HTTP/1.0" % CHAT),
    "version 1.2": request(line=b"POST %b HTTP/1.2" % CHAT),
    "version 2": request(line=b"POST %b HTTP/2.0" % CHAT),
    "two spaces": request(line=b"POST  %b HTTP/1.1" % CHAT),
    "a tab": request(line=b"POST\t%b HTTP/1.1" % CHAT),
    "line ends before": b"\r\n\r\n" + request(),
    "closes": request(b"Connection: close"),
    "closes in capitals": request(b"CONNECTION: CLOSE"),
    "closes among others": request(b"Connection: x, close"),
    "upgrade": request(b"Connection: upgrade", b"Upgrade: websocket"),
    "expects": request(b"Expect: 100-continue"),
    "expects something": request(b"Expect: miracles"),
    "gzip": request(b"Content-Encoding: gzip"),
    "huge": request(b"X: " + b"x" * 9000),
    "just large": request(b"X: " + b"x" * 7700),
    "many": request(*[b"X%d: y" % n for n in range(101)]),
    "too many": request(*[b"X%d: y" % n for n in range(140)]),
    "length of many digits": request().replace(b"Length: ", b"Length: " + b"0" * 30),
}


async def _told(gateway: Running, upstream: Scripted, pieces: list[bytes]) -> list[Any]:
    """The status lines and what the upstream was asked for, of these bytes and one more request behind."""
    before = upstream.calls
    client = await Client.to(gateway)
    try:
        for piece in pieces:
            client.writer.write(piece)
            await asyncio.sleep(0.001)
        client.writer.write(request(b"Connection: close", body=b'{"model":"m","messages":[]}'))
    except ConnectionError:
        pass
    said = await client.all()
    client.writer.close()
    lines = [line for line in said.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    asked = [(seen.method, seen.path, seen.body) for seen in upstream.requests[before:]]
    return [lines, asked, said.count(b"connection: close")]


async def test_nothing_is_read_otherwise_than_by_aiohttp(start: Start, upstream: Scripted) -> None:
    off = "[cache]\nenabled = false\n"
    with_lane = await start(off)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.running.SERVER", {"GATEWAY_SERVER__LANE": "false"})
        without = await start(off, name="b")
    for name, data in SMUGGLING.items():
        for pieces in ([data], [data[:40], data[40:]])[: 2 if PROOF else 1]:
            seen = [await _told(each, upstream, pieces) for each in (with_lane, without)]
            assert seen[0] == seen[1], name
    large = b"POST %b HTTP/1.1\r\nHost: a\r\n%bContent-Length: 999999999\r\n\r\n" % (CHAT, KEYED)
    (lines, asked, closed), other = await asyncio.gather(
        _told(with_lane, upstream, [large]), _told(without, upstream, [large])
    )
    assert [lines, asked, closed] == other == [[b"HTTP/1.1 413 Request Entity Too Large"], [], 1]


async def test_idle_connections_cost_little_and_end_with_the_gateway(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start()
    clients = [await Client.to(gateway) for _ in range(IDLE)]
    for client in clients[:: max(1, IDLE // 100)]:
        client.writer.write(request())
        assert (await client.answer())[0] == 200
    await gateway.app.listeners.close()
    assert all(not data for data in await asyncio.gather(*(client.all() for client in clients)))
    for client in clients:
        client.writer.close()


# ---- upstreams ------------------------------------------------------------------------------------------


def answer(*more: bytes, body: bytes = GOOD, status: bytes = b"200 OK") -> bytes:
    fields = b"".join(each + b"\r\n" for each in more)
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
    return head % (status, len(body), fields) + body


ANSWERS: dict[str, tuple[Answer, int]] = {
    "kept for a time": (raw(answer(b"Keep-Alive: timeout=1, max=2")), 200),
    "closed": (raw(answer(b"Connection: close"), end="close"), 200),
    "closed without a word": (raw(answer(), end="close"), 200),
    "reset behind": (raw(answer(), end="reset"), 200),
    "hinted": (raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", answer()), 200),
    "continued": (raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 3, answer()), 200),
    "early": (early(raw(answer(status=b"400 Bad Request"))), 400),
    "early and closed": (early(raw(answer(b"Connection: close", status=b"413 X"), end="close")), 413),
    "another behind": (raw(answer() + answer(body=b'{"stolen":1}')), 200),
    "garbage behind": (raw(answer() + b"\x00garbage"), 502),
    "gzip": (raw(answer(b"Content-Encoding: gzip", body=gzip.compress(GOOD))), 502),
    "a key in its reason": (raw(answer(status=b"500 " + REAL_KEY.encode())), 500),
    "garbage": (raw(REAL_KEY.encode() + b"\r\n\r\n", end="close"), 502),
    "a bad length": (raw(answer().replace(b"Length: ", b"Length: x"), end="close"), 502),
    "a redirect": (raw(answer(b"Location: http://b/", status=b"302 Found")), 502),
    "an upgrade": (raw(b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", end="close"), 502),
}


async def test_whatever_an_upstream_does_the_next_request_is_answered_and_no_secret_is_told(
    start: Start, upstream: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.INFO)
    gateway = await start("[cache]\nenabled = false\n", limits='["1000 requests/day", "$1/total"]')
    client, said = await Client.to(gateway), b""
    for name, (given, status) in ANSWERS.items():
        upstream.plan(given)
        client.writer.write(request())
        told, _, body = await client.answer()
        assert told == status, name
        assert b"stolen" not in body
        said += body
        upstream.plan(chat())
        client.writer.write(request())
        assert (await client.answer())[0] == 200, name
    for cut in range(0, len(answer()), 1 if PROOF else 11):
        upstream.plan(raw(answer()[:cut], end="reset"))
        client.writer.write(request())
        assert (await client.answer())[0] == 502, cut
    upstream.plan(chat())
    client.writer.write(request())
    assert (await client.answer())[0] == 200
    client.writer.close()
    await books.agree(gateway, gateway.gateway.clients.everybody())
    shown = caplog.text + await gateway.metrics() + said.decode()
    for secret in (PROMPT, KEY, REAL_KEY, ADMIN_KEY):
        assert secret not in shown


@pytest.mark.parametrize(
    "place", ["https://127.0.0.1:{port}/v1", "http://nobody.invalid/v1", "http://127.0.0.1:1/v1"]
)
async def test_who_cannot_be_reached_is_named_and_nothing_else(
    start: Start, upstream: Scripted, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    caplog.set_level(logging.INFO)

    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(REAL_KEY.encode())
        writer.close()

    server = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scripted, "base_url", place.format(port=port))
        gateway = await start(limits='["5 requests/day"]')
    for _ in range(7):
        async with gateway.post(CHAT.decode(), BODY) as answered:
            body = await answered.text()
            assert (answered.status, answered.headers["x-gateway-error"]) == (502, "upstream_unreachable")
    assert await books.used(gateway) == [0]
    shown = caplog.text + body + await gateway.metrics()
    assert not any(secret in shown for secret in (PROMPT, KEY, REAL_KEY))
    server.close()


async def test_a_slow_upstream_is_held_back_by_a_slow_client_and_each_byte_arrives(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start("[cache]\nenabled = false\n")
    delta = {"id": "c", "choices": [{"index": 0, "delta": {"content": "x" * 8000}, "finish_reason": None}]}
    end = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    upstream.plan(sse([*[delta] * 1500, end]))
    client = await Client.to(gateway)
    client.writer.write(request(body=BODY[:-1] + b',"stream":true}'))
    await upstream.received(1)
    await asyncio.sleep(0.05)
    body, size = await client.reader.readuntil(b"\r\n\r\n"), 0
    while not body.endswith(b"0\r\n\r\n"):
        body = body[-8:] + await client.reader.read(65536)
        size += len(body) - 8
    assert size > 1500 * 8000
    client.writer.close()


async def test_an_upstream_that_takes_the_request_slowly_gets_all_of_it(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start("[cache]\nenabled = false\n")
    large = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x" * 1_000_000}]})
    upstream.plan(chat())
    async with gateway.post(CHAT.decode(), large.encode()) as answered:
        assert answered.status == 200
    assert upstream.requests[-1].body == large.encode()
