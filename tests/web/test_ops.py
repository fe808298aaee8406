from tests.conftest import Start
from tests.running import Running
from tests.web.conftest import stop_following


async def test_the_process_lives(gateway: Running) -> None:
    for url in (gateway.url, gateway.admin_url):
        async with gateway.session.get(url + "/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_metrics_are_prometheus_text_and_count_refusals_too(gateway: Running) -> None:
    async with gateway.get("/no/such/path") as answer:
        assert answer.status == 404
    async with gateway.session.get(gateway.admin_url + "/metrics") as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        assert 'gateway_rejected_total{reason="unknown_url"} 1' in await answer.text()
    open_metrics = {"accept": "application/openmetrics-text; version=1.0.0"}
    async with gateway.session.get(gateway.admin_url + "/metrics", headers=open_metrics) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text")


async def readiness(gateway: Running) -> tuple[int, list[str]]:
    async with gateway.session.get(gateway.admin_url + "/readyz") as answer:
        return answer.status, (await answer.json())["reasons"]


async def test_ready_until_draining(start: Start) -> None:
    gateway = await start()
    assert await readiness(gateway) == (200, [])
    gateway.gateway.draining = True
    assert await readiness(gateway) == (503, ["draining"])


async def test_not_ready_before_the_keys_were_read(start: Start) -> None:
    gateway = await start()
    stop_following()
    gateway.gateway.clients.loaded = False
    assert await readiness(gateway) == (503, ["the keys have not been read yet"])


async def test_operations_are_not_public(gateway: Running) -> None:
    for path in ("/metrics", "/readyz", "/admin/v1/keys", "/console/"):
        async with gateway.get(path) as answer:
            assert answer.status == 404
