"""One address that is told things, as JSON by POST. It may be slow, gone or wrong: nobody waits for it."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal

import aiohttp
from yarl import URL

from gateway.upstream.secrets import NO_SECRET, Secret

log = logging.getLogger("gateway.upstream")

Delivery = Literal["sent", "refused", "failed"]

TIMEOUT: Final = 5.0
# Five more tries within a minute: longer than a restart of whoever listens, shorter than anybody's patience.
PAUSES: Final = (1.0, 3.0, 7.0, 16.0, 33.0)
_LATER: Final = frozenset({408, 429})  # and all 5xx: an answer that says "not now"
_AGENT: Final = "openai-team-gateway"


class Webhook:
    """`url` is never shown, since it is often the secret: only its host. Raises ValueError for no URL.

    With `secret`, every message is signed (`signature`). `clock` is unix seconds.
    """

    def __init__(
        self,
        url: str,
        secret: Secret = NO_SECRET,
        *,
        timeout: float = TIMEOUT,
        pauses: Sequence[float] = PAUSES,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = URL(url)
        self._secret = secret
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._pauses = pauses
        self._clock = clock
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Nothing is connected yet."""
        self._session = aiohttp.ClientSession(
            timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), headers={"user-agent": _AGENT}
        )

    async def close(self) -> None:
        """Messages under way fail."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, id: str, body: bytes) -> Delivery:
        """`sent`, once it was answered with a 2xx; `refused`, by what asking again does not change; `failed`
        when neither came within all tries. `id` tells the receiver what it has had already.
        """
        problem = ""
        for pause in (*self._pauses, None):
            answer = await self._attempt(id, body)
            if isinstance(answer, int) and 200 <= answer < 300:
                return "sent"
            problem = str(answer)
            if isinstance(answer, int) and answer < 500 and answer not in _LATER:
                return self._gave_up("refused", problem)
            if pause is not None:
                await self._sleep(pause)
        return self._gave_up("failed", problem)

    async def _attempt(self, id: str, body: bytes) -> int | str:
        """The status; or, where there was none, the name of the reason."""
        if self._session is None:
            return "closed"
        headers = {"content-type": "application/json", "idempotency-key": id}
        if self._secret:
            headers["x-gateway-signature"] = signature(self._secret.reveal(), int(self._clock()), body)
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return type(error).__name__  # its words hold the address

    def _gave_up(self, outcome: Delivery, problem: str) -> Delivery:
        log.warning("the webhook was not told", extra={"host": self._url.host, "error": problem})
        return outcome

    def __repr__(self) -> str:
        return f"<Webhook {self._url.host}>"


def signature(secret: str, seconds: int, body: bytes) -> str:
    """`t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`: as Stripe signs its webhooks."""
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={digest.hexdigest()}"
