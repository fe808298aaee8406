"""Uploads, downloads, fees, old operations, sessions: each leaves its rows, and all books say the same.

What is drawn at random, and what it must leave, is as in `test_money`; beside that, the ledger says of every
answer what its upstream billed. `GATEWAY_PROOF` sends thousands.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.drain import drain
from gateway.settings import Size
from tests import books, scripted
from tests.e2e.mixture import (
    AT_ONCE,
    KEYS,
    LIMITS,
    MOST_UPLOAD,
    ROUNDS,
    SEEDS,
    TOML,
    Clients,
    Mixture,
    form,
    held_enough,
    usage_of,
)
from tests.e2e.test_money import Told, missed
from tests.running import ENVIRONMENT, Running, configuration, running
from tests.scripted import sse
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def mixture() -> AsyncIterator[Mixture]:
    async with Mixture() as upstream:
        yield upstream


@pytest.fixture
async def gateway(mixture: Mixture, tmp_path: Path) -> AsyncIterator[Running]:
    text = configuration(mixture.base_url, tmp_path / "data", TOML, limits=LIMITS)
    secrets = {name.upper(): key for name, key in KEYS.items() if name != "test"}
    async with running(text, tmp_path, dict(ENVIRONMENT) | secrets) as opened:
        opened.gateway.settings.server.max_upload = Size(MOST_UPLOAD)
        yield opened


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_every_operation_leaves_its_rows_and_all_books_agree(
    gateway: Running, mixture: Mixture, seed: int
) -> None:
    clients = Clients(gateway, mixture, random.Random(seed))
    told = gateway.gateway.holds = Told(gateway.gateway.holds)
    for kind in clients.kinds:
        await kind()
    for _ in range(ROUNDS):
        await asyncio.gather(*(clients.any_case() for _ in range(AT_ONCE)))
    await until(lambda: not gateway.gateway.serving)
    written = await books.agree(gateway, gateway.gateway.clients.everybody())
    complaints = "\n".join(missed(clients.expected, written))
    assert not complaints, complaints
    assert sum(row.input + row.output for row in written if row.settled == "usage") == mixture.billed
    held_enough(told.leases, written)
    assert await books.nano(gateway, "gateway_overrun_dollars_total") == 0


# ---- several prompts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_several_prompts_fit_into_one_slot(gateway: Running, mixture: Mixture, stream: bool) -> None:
    """The slot of each is free before the next one asks for it, whoever is slow to settle."""
    clients = Clients(gateway, mixture, random.Random(7))
    holds = gateway.gateway.holds

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(holds, name)

        async def settle(self, *arguments: Any, **more: Any) -> Any:
            await asyncio.sleep(0.02)
            return await holds.settle(*arguments, **more)

    gateway.gateway.holds = Slow()
    end = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    case = clients.plan(sse([end]) if stream else scripted.chat())
    body = {"model": "gpt-4o-mini", "prompt": clients.prompts(4), "max_tokens": 9, "stream": stream}
    status, _, came = await clients.ask(case, "/v1/completions", body, key="single")
    assert status == 200
    assert b"rate_limit" not in came
    assert [row.status for row in await books.rows(gateway)] == [200] * 4


async def test_a_drain_between_two_prompts_lets_all_of_them_be_served(
    gateway: Running, mixture: Mixture
) -> None:
    clients = Clients(gateway, mixture, random.Random(7))
    more = asyncio.Event()
    case = clients.plan(scripted.hold(more, scripted.chat()), scripted.chat())
    body = {"model": "gpt-4o-mini", "prompt": clients.prompts(3), "max_tokens": 9}
    asking = asyncio.create_task(clients.ask(case, "/v1/completions", body, key="single"))
    await mixture.seen[case].wait()
    draining = asyncio.create_task(drain(gateway.gateway, 30, asyncio.Event()))
    more.set()
    status, _, came = await asking
    assert (status, len(json.loads(came)["choices"])) == (200, 3)
    assert await draining == 0


async def test_a_drain_whose_time_is_over_ends_the_prompts(gateway: Running, mixture: Mixture) -> None:
    clients = Clients(gateway, mixture, random.Random(7))
    case = clients.plan(scripted.chat(), scripted.hold(asyncio.Event()))
    body = {"model": "gpt-4o-mini", "prompt": clients.prompts(3), "max_tokens": 9}
    asking = asyncio.create_task(clients.ask(case, "/v1/completions", body))
    await mixture.received(2)
    assert await drain(gateway.gateway, 0, asyncio.Event()) == 1
    status, _, _ = await asking
    assert status == 503
    written = await books.agree(gateway, gateway.gateway.clients.everybody())
    assert [(row.status, row.error) for row in written] == [(200, None), (503, "draining")]


async def test_each_prompt_is_a_request_to_a_rate(mixture: Mixture, tmp_path: Path) -> None:
    text = configuration(mixture.base_url, tmp_path / "data", limits='["1 requests/minute"]')
    async with running(text, tmp_path) as gateway:
        clients = Clients(gateway, mixture, random.Random(7))
        case = clients.plan(scripted.chat())
        body = {"model": "gpt-4o-mini", "prompt": [f"{number}" for number in range(128)]}
        status, _, _ = await clients.ask(case, "/v1/completions", body)
        assert status == 429
        assert mixture.calls == 1
        assert [row.status for row in await books.rows(gateway)] == [200, 429]


# ---- forms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", ["-1", "11", "99999999999999999999", "1e1", "+1", " 2", "02", "2.0", "0x2", "٢", "true"]
)
async def test_a_number_that_is_no_plain_one_is_refused(
    gateway: Running, mixture: Mixture, said: str
) -> None:
    clients = Clients(gateway, mixture, random.Random(7))
    case = clients.plan(scripted.json(200, {}))
    body = form(("model", "m-image"), ("prompt", "a"), ("image", bytes(500_000)), ("n", said))
    status, headers, _ = await clients.ask(case, "/v1/images/edits", body)
    assert status == 400
    assert headers["x-gateway-error"] in ("invalid_n", "invalid_multipart")
    assert mixture.calls == 0


async def test_pictures_are_counted_wherever_their_number_stands(mixture: Mixture, tmp_path: Path) -> None:
    """There is room for one, and ten are asked for behind a large file."""
    price = '[prices.models."m-*"]\ninput = 1\noutput = 2\n[endpoints]\nallow = ["all"]\n'
    text = configuration(mixture.base_url, tmp_path / "data", price, limits='["$0.14/total"]')
    async with running(text, tmp_path) as gateway:
        clients = Clients(gateway, mixture, random.Random(7))
        case = clients.plan(scripted.json(200, {"data": [], "usage": usage_of(9, 9)}))
        pictures = ("model", "m-image"), ("prompt", "a"), ("image", bytes(3_000_000))
        for number, size, told in (
            ("1", "1024x1024", 200),
            ("10", "1024x1024", 429),
            ("1", "3840x2160", 429),
        ):
            body = form(*pictures, ("n", number), ("size", size))
            status, _, _ = await clients.ask(case, "/v1/images/edits", body)
            assert status == told
        as_json = {"model": "m-image", "prompt": "a", "n": 10, "size": "1024x1024"}
        status, _, _ = await clients.ask(case, "/v1/images/generations", as_json)
        assert status == 429
        assert mixture.calls == 1


async def test_a_model_in_a_form_with_a_fee_is_a_model(mixture: Mixture, tmp_path: Path) -> None:
    more = '[prices.operations]\n"videos.create" = 0.25\n[endpoints]\nallow = ["all"]\n'
    text = configuration(mixture.base_url, tmp_path / "data", more, limits='["$0.3/total on m-dear*"]')
    text = text.replace('secret = "env:KEY"', 'secret = "env:KEY"\nmodels = ["m-*"]')
    async with running(text, tmp_path) as gateway:
        clients = Clients(gateway, mixture, random.Random(7))
        case = clients.plan(scripted.json(200, {"id": "video_1"}))
        reference = ("input_reference", bytes(500_000))
        for model, told in (("m-dear", 200), ("m-dear", 429), ("m-cheap", 200), ("other", 403)):
            body = form(("prompt", "a"), reference, ("model", model))
            status, _, _ = await clients.ask(case, "/v1/videos", body)
            assert (model, status) == (model, told)
