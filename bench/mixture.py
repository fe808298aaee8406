"""The clients of the exactness run: mixed requests, of which some are cancelled at a random moment."""

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.billing import EMBEDDING, MODEL

CANCELLED = 0.13  # of which some are answered before they can leave
REPEATED = 0.05  # questions that were asked before, for the cache
_SHARES = {"chat": 40, "stream": 35, "embeddings": 10, "responses": 10}
_USUAL_SECONDS = {"chat": 0.02, "stream": 0.1, "embeddings": 0.02, "responses": 0.06}  # of an answer


@dataclass(slots=True)
class Account:
    """What the clients saw: `finished` maps a gateway request id to the `user` it was asked under."""

    finished: dict[str, str] = field(default_factory=dict)
    hits: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)


class Client:
    """One caller after another, without a pause, until `until` (loop time)."""

    def __init__(self, base_url: str, keys: list[str], account: Account, seed: int) -> None:
        self._base_url = base_url
        self._keys = keys
        self._account = account
        self._random = random.Random(seed)
        self._seed = seed
        self._asked = 0

    async def run(self, session: aiohttp.ClientSession, until: float, pause: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            kind = self._random.choices(list(_SHARES), list(_SHARES.values()))[0]
            call = self._call(session, kind)
            try:
                if self._random.random() < CANCELLED:
                    await asyncio.wait_for(call, self._random.uniform(0, _USUAL_SECONDS[kind]))
                else:
                    await call
            except TimeoutError:
                self._account.outcomes["cancelled"] += 1
            except aiohttp.ClientError as error:
                self._account.outcomes[type(error).__name__] += 1
            await asyncio.sleep(self._random.uniform(0, 2 * pause))

    async def _call(self, session: aiohttp.ClientSession, kind: str) -> None:
        path, body = self._question(kind)
        headers = {
            "authorization": f"Bearer {self._random.choice(self._keys)}",
            "x-gateway-tags": f"project=p{self._random.randint(1, 5)}",
        }
        async with session.post(self._base_url + path, json=body, headers=headers) as answer:
            whole = await answer.read()
            request = answer.headers["x-gateway-request-id"]
            if answer.status != 200:
                self._account.outcomes[f"{answer.status} {_code(whole)}"] += 1
            elif answer.headers["x-gateway-cache"] in ("hit", "joined"):
                self._account.outcomes["cached"] += 1
                self._account.hits.add(request)
            else:
                self._account.outcomes["finished"] += 1
                self._account.finished[request] = body["user"]

    def _question(self, kind: str) -> tuple[str, dict[str, Any]]:
        self._asked += 1
        user = f"u{self._seed}-{self._asked}"
        if self._random.random() < REPEATED:
            user = f"{kind}-again-{self._random.randint(1, 20)}"
        said = f"{user}: " + "Say where the tide carries the lamps. " * (len(user) % 8 + 1)
        if kind == "embeddings":
            return "/embeddings", {"model": EMBEDDING, "input": said, "user": user}
        if kind == "responses":
            body = {"model": MODEL, "input": said, "stream": True, "store": False, "max_output_tokens": 400}
            return "/responses", body | {"user": user}
        chat = {"model": MODEL, "messages": [{"role": "user", "content": said}], "max_tokens": 400}
        return "/chat/completions", chat | {"stream": kind == "stream", "user": user}


def _code(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "?"
