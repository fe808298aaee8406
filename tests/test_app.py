"""Everything opens in one place, and a store that is away delays readiness, not the start."""

from pathlib import Path

from tests.conftest import Start
from tests.running import KEY, REAL_KEY, configuration, running
from tests.scripted import Scripted

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


async def test_without_its_store_it_starts_and_says_that_it_is_not_ready(
    upstream: Scripted, tmp_path: Path
) -> None:
    text = configuration(upstream.base_url, tmp_path, store=f"unix://{tmp_path}/nobody.sock?db=0")
    async with running(text, tmp_path) as gateway:
        async with gateway.session.get(gateway.admin_url + "/readyz") as answer:
            assert answer.status == 503
        async with gateway.session.get(gateway.admin_url + "/healthz") as answer:
            assert answer.status == 200
        # A declared key needs no store, and a client without limits no counters.
        async with gateway.post(CHAT, QUESTION) as answer:
            assert (answer.status, answer.headers["x-gateway-cache"]) == (200, "miss")
        async with gateway.post(CHAT, QUESTION, key="sk-gw-made-before") as answer:
            assert answer.status == 503
            assert (await answer.json())["error"]["code"] == "quota_store_unavailable"


async def test_limits_without_their_store_refuse(upstream: Scripted, tmp_path: Path) -> None:
    store = f"unix://{tmp_path}/nobody.sock?db=0"
    text = configuration(upstream.base_url, tmp_path, limits='["5 requests/day"]', store=store)
    async with running(text, tmp_path) as gateway, gateway.post(CHAT, QUESTION) as answer:
        assert answer.status == 503
        assert (await answer.json())["error"]["code"] == "quota_store_unavailable"
        assert int(answer.headers["retry-after"]) >= 1
    assert upstream.calls == 0


async def test_gateways_on_one_store_share_their_cache(start: Start, upstream: Scripted) -> None:
    one = await start(name="one")
    two = await start(name="two", store=one.store_url)
    results = []
    for gateway in (one, two):
        async with gateway.post(CHAT, QUESTION) as answer:
            results.append((answer.headers["x-gateway-cache"], await answer.read()))
        await gateway.concluded()
    assert [cache for cache, _ in results] == ["miss", "hit"]
    assert results[0][1] == results[1][1]


async def test_no_secret_shows_in_metrics_or_reprs(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["5 requests/day"]')
    async with gateway.post(CHAT, QUESTION) as answer:
        await answer.read()
    await gateway.concluded()
    shown = await gateway.metrics() + repr(gateway.gateway) + repr(gateway.app.store)
    for secret in (KEY, REAL_KEY, "sk-gw-admin"):
        assert secret not in shown
