"""What a request costs and the row that says so, from the question to the ledger."""

import asyncio
import json
from typing import Any

import pytest

from gateway.accounts import cut_short, fee
from gateway.policy.ledger import SUMS, encode
from gateway.uploads import FormUpload
from tests import books
from tests.arriving import Arriving
from tests.conftest import Start
from tests.exchanges import ended
from tests.running import KEY, REAL_KEY, Running
from tests.scripted import Scripted, chat, close_now, hold, sse
from tests.scripted import json as answer_json

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 500}
TWICE = (
    "[prices.models.in-house]\ninput = 1\noutput = 2\ninput_audio = 40\noutput_audio = 80\nrequest = 0.001"
)


def usage(into: int, out: int, **details: dict[str, int]) -> dict[str, Any]:
    return {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out, **details}


@pytest.mark.parametrize(
    ("model", "more", "cost"),
    [
        ("gpt-5.4", {"usage": usage(1000, 100)}, 1000 * 2500 + 100 * 15_000),
        (
            "gpt-5.4",
            {"usage": usage(1000, 100, prompt_tokens_details={"cached_tokens": 600})},
            400 * 2500 + 600 * 250 + 100 * 15_000,
        ),
        # The tier is the one that the answer says, whatever was asked for.
        ("gpt-5.4", {"usage": usage(1000, 100), "service_tier": "priority"}, 1000 * 5000 + 100 * 30_000),
        ("gpt-5.4", {"usage": usage(1000, 100), "service_tier": "flex"}, 1000 * 1250 + 100 * 7500),
        # Above the step all tokens cost more.
        ("gpt-5.4", {"usage": usage(272_000, 10)}, 272_000 * 2500 + 10 * 15_000),
        ("gpt-5.4", {"usage": usage(272_001, 10)}, 272_001 * 5000 + 10 * 22_500),
        (
            "in-house",
            {
                "usage": usage(
                    100,
                    50,
                    prompt_tokens_details={"audio_tokens": 60},
                    completion_tokens_details={"audio_tokens": 20},
                )
            },
            40 * 1000 + 60 * 40_000 + 30 * 2000 + 20 * 80_000 + 1_000_000,
        ),
    ],
)
async def test_a_plain_answer_says_what_its_row_says(
    start: Start, upstream: Scripted, model: str, more: dict[str, Any], cost: int
) -> None:
    gateway = await start(TWICE, limits='["$100/total"]')
    upstream.plan(chat(**more))
    async with gateway.post(CHAT, QUESTION | {"model": model}) as answer:
        assert round(float(answer.headers["x-gateway-cost"]) * 1e9) == cost
    row = await books.row(gateway)
    assert (row.cost, row.settled, row.status) == (cost, "usage", 200)
    assert (row.input, row.output) == (more["usage"]["prompt_tokens"], more["usage"]["completion_tokens"])
    assert await books.used(gateway) == [cost]
    assert await books.nano(gateway, "gateway_cost_dollars_total") == cost


async def test_a_chat_that_searches_pays_for_one_search_and_a_response_for_those_it_made(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["$100/total"]')
    upstream.plan(chat(usage=usage(10, 10)))
    searching = QUESTION | {"model": "gpt-4o-mini", "web_search_options": {}}
    async with gateway.post(CHAT, searching) as answer:
        assert round(float(answer.headers["x-gateway-cost"]) * 1e9) == 10 * 150 + 10 * 600 + 10_000_000
    calls = [{"type": "web_search_call", "id": f"ws_{n}", "action": {"type": "search"}} for n in range(3)]
    said = {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}
    upstream.plan(answer_json(200, {"object": "response", "output": calls, "usage": said}))
    asked = {
        "model": "gpt-4o-mini",
        "input": "hi",
        "tools": [{"type": "web_search"}],
        "max_output_tokens": 20,
    }
    async with gateway.post("/v1/responses", asked) as answer:
        assert round(float(answer.headers["x-gateway-cost"]) * 1e9) == 10 * 150 + 10 * 600 + 30_000_000
    assert sum(row.cost or 0 for row in await books.rows(gateway)) == 40_015_000
    assert await books.used(gateway) == [40_015_000]


async def test_a_stream_says_nothing_beforehand_and_costs_the_same(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["$100/total"]')
    last = {"id": "c", "choices": [], "service_tier": "priority", "usage": usage(1000, 100)}
    upstream.plan(sse([last]))
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as answer:
        assert "x-gateway-cost" not in answer.headers
        await answer.read()
    assert (await books.row(gateway)).cost == 1000 * 5000 + 100 * 30_000


@pytest.mark.parametrize(("tier", "factor"), [(None, 1), ("priority", 2)])
async def test_an_answer_that_never_came_costs_its_input_in_the_tier_that_was_asked_for(
    start: Start, upstream: Scripted, tier: str | None, factor: int
) -> None:
    gateway = await start()
    upstream.plan(close_now)
    async with gateway.post(CHAT, QUESTION | {"service_tier": tier}) as answer:
        assert answer.status == 502
    row = await books.row(gateway)
    assert (row.settled, row.cost) == ("estimate", row.input * 2500 * factor)


async def test_nobody_knows_the_price_and_nobody_has_to(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["5 requests/day", { limit = "$1/day", mode = "shadow" }]')
    paths = {
        CHAT: QUESTION | {"model": "in-house"},
        "/v1/moderations": {"model": "in-house", "input": "hi"},
    }
    for path, body in paths.items():
        async with gateway.post(path, body) as answer:
            assert answer.status == 200
            assert "x-gateway-cost" not in answer.headers
    assert [row.cost for row in await books.rows(gateway)] == [None, None]
    assert await books.metric(gateway, "gateway_unpriced_requests_total", model="other") == 2
    assert await books.used(gateway) == [2, 0]


# What is told to the store when a request is dispatched


async def test_a_request_that_ends_after_its_lease_is_charged_for_once(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["$100/total", "1M tokens/total", "9 requests/total", "2 concurrent"]')
    answered = asyncio.Event()
    upstream.plan(hold(answered, chat(usage=usage(5, 7))))
    asking = asyncio.create_task(_ask(gateway, model="gpt-5.4"))
    await upstream.received(1)
    await _let_leases_run_out(gateway)
    (lease,) = await gateway.app.store.ledger.oldest(None, 9)
    assert json.loads(lease.row)["settled"] == "lease"
    assert await books.nano(gateway, "gateway_cost_dollars_total") > 500 * 15_000
    answered.set()
    assert await asking == 200
    rows = await books.agree(gateway, gateway.gateway.clients.everybody())
    assert [(row.settled, row.correction) for row in rows] == [("lease", False), ("usage", True)]
    assert sum(row.cost or 0 for row in rows) == 5 * 2500 + 7 * 15_000
    assert await books.nano(gateway, "gateway_refunded_dollars_total") == rows[0].cost


@pytest.mark.parametrize("status", [200, 404])
async def test_no_sum_is_below_nothing_when_a_model_nobody_knew_is_corrected(
    start: Start, upstream: Scripted, status: int
) -> None:
    gateway = await start("[prices.unpriced]\ninput = 1\noutput = 1")
    answered = asyncio.Event()
    last = chat(usage=usage(5, 7)) if status == 200 else answer_json(status, {"error": {}})
    upstream.plan(hold(answered, last))
    asking = asyncio.create_task(_ask(gateway, model="invented"))
    await upstream.received(1)
    await _let_leases_run_out(gateway)
    answered.set()
    assert await asking == status
    rows = await books.agree(gateway, ())
    days = {_day(row.time) for row in rows}
    sums = await gateway.app.store.ledger.sums(sorted(days))
    assert min(min(each.sums) for each in sums) >= 0
    assert sum(each.sums[SUMS.index("cost")] for each in sums) == (12_000 if status == 200 else 0)


@pytest.mark.parametrize("limits", ["[]", '["9 requests/day"]', '["$9/day"]'])
@pytest.mark.parametrize("text", ["hi", "的一是了我" * 50, "ᚠᛇᚻ" * 100, "🧑‍🚀" * 20])
async def test_a_lease_costs_no_less_than_its_request_can(
    start: Start, upstream: Scripted, limits: str, text: str
) -> None:
    gateway = await start(limits=limits)
    answered = asyncio.Event()
    upstream.plan(hold(answered, close_now))
    question = QUESTION | {"messages": [{"role": "user", "content": text}]}
    raw = json.dumps(question, ensure_ascii=False).encode()
    asking = asyncio.create_task(_send(gateway, raw))
    await upstream.received(1)
    await _let_leases_run_out(gateway)
    answered.set()
    await asking
    lease, correction = await books.rows(gateway)
    counted = lease.input + correction.input  # by the tokenizer
    assert 0 < counted <= lease.input
    assert lease.output == 500
    assert (lease.cost or 0) >= counted * 2500 + 500 * 15_000


async def test_what_asks_no_model_anything_has_a_lease_for_nothing(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["9 requests/day"]')
    answered = asyncio.Event()
    upstream.plan(hold(answered))
    asking = asyncio.create_task(_get(gateway, "/v1/models/gpt-5.4"))
    await upstream.received(1)
    await _let_leases_run_out(gateway)
    answered.set()
    await asking
    lease, correction = await books.rows(gateway)
    assert (lease.cost, lease.input, lease.model) == (0, 0, "gpt-5.4")
    assert (correction.cost, correction.model) == (0, "gpt-5.4")


# What rows hold, and under which name they are added up


async def test_a_row_holds_neither_prompt_nor_answer_nor_key(start: Start, upstream: Scripted) -> None:
    gateway = await start()
    upstream.plan(chat("a secret answer", usage=usage(5, 7)))
    async with gateway.post(
        CHAT, QUESTION | {"messages": [{"role": "user", "content": "a secret"}], "user": "me"}
    ):
        pass
    text = encode(await books.row(gateway)).decode()
    for secret in ("secret", KEY, REAL_KEY, KEY.rpartition("-")[2], '"me"'):
        assert secret not in text


async def test_names_that_clients_invent_are_added_up_together(start: Start, upstream: Scripted) -> None:
    more = '[models]\naliases = { "named" = "served" }\n[prices.models.priced]\ninput = 1\noutput = 1'
    gateway = await start(more)
    upstream.plan(answer_json(404, {"error": {"message": "no such model"}}))
    for model in ("invented-1", "invented-2", "named", "priced", "gpt-5.4"):
        assert await _ask(gateway, model=model) == 404
    upstream.plan(chat(usage=usage(1, 1)))
    assert await _ask(gateway, model="answered") == 200
    written = await books.rows(gateway)
    assert [row.model for row in written][:3] == ["invented-1", "invented-2", "named"]
    names = {
        each.who.rpartition("\t")[2] for each in await gateway.app.store.ledger.sums([_day(written[0].time)])
    }
    assert names == {"other", "served", "priced", "gpt-5.4", "answered"}
    assert "invented" not in await gateway.metrics()


async def _ask(gateway: Running, **more: Any) -> int:
    return await _send(gateway, QUESTION | more)


async def _send(gateway: Running, body: Any) -> int:
    async with gateway.post(CHAT, body) as answer:
        await answer.read()
        return int(answer.status)


async def _get(gateway: Running, path: str) -> None:
    async with gateway.get(path) as answer:
        await answer.read()


async def _let_leases_run_out(gateway: Running) -> None:
    """As if this process had been away for longer than a lease."""
    line = gateway.gateway
    later = line.clock.now() + line.settings.store.lease.ms + 1
    line.telemetry.expired(await line.holds.expire(later))


def _day(time: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time / 1000, UTC).date().isoformat()


# What costs a fee, and what costs nothing

BATCHES = '[endpoints]\nallow = ["inference", "batches"]\nownership = "off"\n'
FEE = BATCHES + '[prices.operations]\n"batches.create" = 0.25\n'
BATCH = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
MADE = answer_json(200, {"id": "batch_1", "object": "batch"})
NANO = 250_000_000


async def _batch(gateway: Running, **how: str) -> tuple[int, str | None]:
    async with gateway.post("/v1/batches", BATCH, **how) as answer:
        await answer.read()
        return answer.status, answer.headers.get("x-gateway-cost")


async def test_each_call_costs_its_fee_and_no_tokens(start: Start, upstream: Scripted) -> None:
    gateway = await start(FEE, limits='["$1/total", "10 tokens/total", "9 requests/total", "2 concurrent"]')
    upstream.plan(MADE)
    assert [await _batch(gateway) for _ in range(4)] == [(200, "0.25")] * 4
    status, _ = await _batch(gateway)
    assert (status, upstream.calls) == (429, 4)
    rows = await books.agree(gateway, gateway.gateway.clients.everybody())
    assert [(row.endpoint, row.cost, row.input, row.output) for row in rows[:4]] == [
        ("batches.create", NANO, 0, 0)
    ] * 4
    assert await books.used(gateway) == [4 * NANO, 0, 4, 0]


async def test_a_call_that_was_refused_costs_nothing_and_one_that_was_lost_its_fee(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(FEE, limits='["$1/total"]')
    upstream.plan(answer_json(400, {"error": {"message": "no"}}), close_now)
    assert await _batch(gateway) == (400, "0")
    assert (await _batch(gateway))[0] == 502
    assert [row.cost for row in await books.rows(gateway)] == [0, NANO]
    assert await books.used(gateway) == [NANO]


async def test_a_fee_that_nobody_set_is_unpriced_and_never_nothing(start: Start, upstream: Scripted) -> None:
    gateway = await start(BATCHES, limits='["5 requests/day", { limit = "$1/day", mode = "shadow" }]')
    upstream.plan(MADE)
    assert await _batch(gateway) == (200, None)
    row = await books.row(gateway)
    assert (row.cost, row.status) == (None, 200)
    assert await books.metric(gateway, "gateway_unpriced_requests_total") == 1
    assert await books.used(gateway) == [1, 0]


async def test_a_fee_that_nobody_set_is_refused_where_dollars_are_limited(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(BATCHES, limits='["$1/day"]')
    async with gateway.post("/v1/batches", BATCH) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (400, "feature_not_priced")
    assert "'batches.create'" in error["message"]
    assert '[prices.operations]: "batches.create"' in error["message"]
    assert upstream.calls == 0
    assert (await books.row(gateway)).cost == 0


async def test_nothing_costs_a_fee_where_nothing_costs_anything(start: Start, upstream: Scripted) -> None:
    free = f'[[upstreams]]\nname = "ours"\nbase_url = "{upstream.base_url}"\nprices = "free"\npriority = 0\n'
    gateway = await start(free + BATCHES, limits='["$1/day"]')
    gateway.gateway.upstreams = _Only(gateway.gateway.upstreams, "ours")
    upstream.plan(MADE)
    assert await _batch(gateway) == (200, "0")
    assert (await books.row(gateway)).cost == 0


class _Only:
    """Upstreams of which one is asked."""

    def __init__(self, upstreams: Any, name: str) -> None:
        self._upstreams, self._name = upstreams, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._upstreams, name)

    def plan(self, model: str | None) -> list[str]:
        return [self._name]


async def test_a_call_whose_gateway_died_has_cost_its_fee(start: Start, upstream: Scripted) -> None:
    gateway = await start(FEE, limits='["9 requests/total"]')
    answered = asyncio.Event()
    upstream.plan(hold(answered, MADE))
    asking = asyncio.create_task(_batch(gateway))
    await upstream.received(1)
    await _let_leases_run_out(gateway)
    (lease,) = await gateway.app.store.ledger.oldest(None, 9)
    shown = json.loads(lease.row)
    assert (shown["settled"], shown["cost"], shown.get("input", 0)) == ("lease", NANO, 0)
    answered.set()
    await asking
    assert sum(row.cost or 0 for row in await books.rows(gateway)) == NANO


@pytest.mark.parametrize("limits", ['["$1/total", "10 tokens/total"]', "[]"])
async def test_what_is_free_is_counted_as_a_request(start: Start, upstream: Scripted, limits: str) -> None:
    gateway = await start(BATCHES, limits=limits)
    upstream.plan(answer_json(200, {"id": "batch_1", "object": "batch", "status": "cancelled"}))
    async with gateway.post("/v1/batches/batch_1/cancel", b"") as answer:
        assert answer.status in (200, 404)  # 404: nobody is known to have made it
    row = await books.row(gateway)
    assert (row.endpoint, row.cost, row.settled) == ("batches.cancel", 0, "none")
    assert await books.metric(gateway, "gateway_unpriced_requests_total") == 0


async def test_what_has_no_tokens_is_not_held_back_by_a_limit_on_tokens(
    start: Start, upstream: Scripted
) -> None:
    more = FEE.replace('"batches"', '"batches", "vector_stores"')
    gateway = await start(more, limits='["100 tokens/hour", "$1/total"]')
    upstream.plan(chat(usage=usage(300, 300)), MADE, answer_json(200, {"id": "vs_1"}))
    assert await _ask(gateway, model="gpt-4o-mini", max_tokens=50) == 200
    await gateway.concluded()
    assert await _ask(gateway, model="gpt-4o-mini", seed=2, max_tokens=50) == 429
    assert (await _batch(gateway))[0] == 200
    async with gateway.post("/v1/vector_stores", {"name": "many words that nobody pays for"}) as answer:
        assert answer.status == 200
    *_, made = await books.rows(gateway)
    assert (made.endpoint, made.settled, made.input, made.cost) == ("vector_stores.create", "none", 0, 0)


@pytest.mark.parametrize("passed", [True, False])
async def test_half_an_upload_costs_no_fee(start: Start, passed: bool) -> None:
    gateway = await start(FEE)
    upload = FormUpload(Arriving(b"ab", b"c"), None, 1)
    exchange = ended("batches.create", upload=upload, upstream="scripted")
    pieces = aiter(upload)
    assert await anext(pieces) == b"ab"
    if passed:
        assert await anext(pieces) == b"c"
    assert cut_short(exchange) is not passed
    assert fee(gateway.gateway, exchange) == (NANO if passed else 0)
    upload.close()
