"""A webhook against real servers that fail, redirect and hang."""

import asyncio
import hashlib
import hmac
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.upstream.secrets import Secret
from gateway.upstream.webhook import PAUSES, Webhook, signature

SECRET = Secret("whsec-canary", "env:ALERT_SECRET")
PATH = "/services/T0/B0/path-canary"
BODY = b'{"event": "budget"}'

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Hook:
    """Answers as it is told: one status after the other, the last of them for ever."""

    def __init__(self) -> None:
        self.statuses = [204]
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.released = asyncio.Event()
        self.hangs = False
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((request.path, headers, await request.read()))
        if self.hangs:
            await self.released.wait()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, headers={"location": "/elsewhere"} if status // 100 == 3 else {})


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hook.answer)
    async with TestServer(app) as server:
        hook.url = f"http://127.0.0.1:{server.port}{PATH}"
        yield hook
        hook.released.set()


class Slept:
    """A sleep that takes no time."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def sent(url: str, slept: Slept, secret: Secret = SECRET, timeout: float = 5.0) -> str:
    webhook = Webhook(url, secret, clock=lambda: 1_790_000_000.9, sleep=slept, timeout=timeout)
    await webhook.start()
    try:
        return await webhook.send("evt_1", BODY)
    finally:
        await webhook.close()


async def test_what_is_sent_is_signed_and_can_be_told_from_what_was_sent_before(hook: Hook) -> None:
    assert await sent(hook.url, Slept()) == "sent"
    ((path, headers, body),) = hook.seen
    assert (path, body) == (PATH, BODY)
    assert (headers["content-type"], headers["idempotency-key"]) == ("application/json", "evt_1")
    digest = hmac.new(b"whsec-canary", b"1790000000." + BODY, hashlib.sha256).hexdigest()
    assert headers["x-gateway-signature"] == f"t=1790000000,v1={digest}"
    assert headers["user-agent"] == "openai-team-gateway"


async def test_without_a_secret_there_is_no_signature(hook: Hook) -> None:
    assert await sent(hook.url, Slept(), Secret("", "none")) == "sent"
    assert "x-gateway-signature" not in hook.seen[0][1]


def test_a_signature_holds_for_one_body_at_one_time() -> None:
    one = signature("secret", 1, b"body")
    assert (
        len(
            {
                one,
                signature("secret", 2, b"body"),
                signature("secret", 1, b"bodY"),
                signature("s", 1, b"body"),
            }
        )
        == 4
    )
    assert one == signature("secret", 1, b"body")


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
async def test_what_may_pass_is_tried_again(hook: Hook, status: int) -> None:
    hook.statuses, slept = [status, status, 200], Slept()
    assert await sent(hook.url, slept) == "sent"
    assert slept.pauses == [1.0, 3.0]
    assert len({body for _, _, body in hook.seen}) == 1


async def test_it_gives_up_after_about_a_minute_with_one_line(
    hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hook.statuses, slept = [503], Slept()
    assert await sent(hook.url, slept) == "failed"
    assert len(hook.seen) == 6
    assert slept.pauses == list(PAUSES)
    assert sum(PAUSES) == 60
    (record,) = (record for record in caplog.records if record.name.startswith("gateway"))
    assert (record.levelno, record.__dict__["host"], record.__dict__["error"]) == (
        *(logging.WARNING, "127.0.0.1"),
        "503",
    )


@pytest.mark.parametrize("status", [301, 307, 400, 403, 404, 410])
async def test_what_will_not_change_is_asked_once_and_no_redirect_is_followed(
    hook: Hook, status: int
) -> None:
    hook.statuses, slept = [status], Slept()
    assert await sent(hook.url, slept) == "refused"
    assert [path for path, _, _ in hook.seen] == [PATH]
    assert slept.pauses == []


async def test_who_hangs_is_not_waited_for(hook: Hook) -> None:
    hook.hangs, slept = True, Slept()
    assert await sent(hook.url, slept, timeout=0.05) == "failed"
    assert len(slept.pauses) == 5


async def test_who_is_not_there_is_tried_again() -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        slept = Slept()
        assert await sent(f"http://127.0.0.1:{taken.getsockname()[1]}/", slept) == "failed"
    assert len(slept.pauses) == 5


async def test_the_address_is_never_said(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        hook.statuses = [404]
        await sent(hook.url, Slept())
        hook.hangs = True
        await sent(hook.url, Slept(), timeout=0.05)
        await sent(hook.url.replace("http:", "https:"), Slept())
    ours = [record for record in caplog.records if record.name.startswith("gateway")]
    assert len(ours) == 3
    said = "".join(str(record.__dict__) for record in ours)
    assert "canary" not in said + repr(Webhook(hook.url, SECRET))


async def test_one_that_is_closed_fails(hook: Hook) -> None:
    webhook = Webhook(hook.url, sleep=Slept())
    assert await webhook.send("evt_1", BODY) == "failed"
    assert hook.seen == []


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError):
        Webhook("http://[::1")
