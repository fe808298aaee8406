"""A gateway that is one process is all that there is to show."""

from gateway.store.base import Change
from gateway.web.processes import Alone
from tests.running import Running


async def test_one_process_shows_itself(gateway: Running) -> None:
    alone = Alone(gateway.gateway)
    page, content_type = await alone.metrics("")
    assert b"gateway_build_info{" in page
    assert content_type.startswith("text/plain")
    assert [status["name"] for status in await alone.upstreams()] == ["scripted"]
    assert list(alone.unready()) == []
    await alone.changed(Change("key", "a"))
