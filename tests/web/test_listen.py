import asyncio
import socket
from pathlib import Path

import pytest

from gateway.web.call import Call
from gateway.web.listen import bind
from tests.running import configuration, running
from tests.web.conftest import Serve
from tests.web.raw import Raw, ask

GET = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_port_in_use_is_refused_in_words() -> None:
    with bind("127.0.0.1", 0, "server") as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            OSError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(\[admin\] host and port\): "
        ):
            bind("127.0.0.1", port, "admin")


def test_a_host_that_does_not_exist_is_refused_in_words() -> None:
    with pytest.raises(OSError, match=r"cannot listen on no-such-host\.invalid:80"):
        bind("no-such-host.invalid", 80, "server")


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        ("localhost", socket.AF_INET),
        ("::1", socket.AF_INET6),
        ("", socket.AF_INET),
    ],
)
def test_hosts(host: str, family: socket.AddressFamily) -> None:
    with bind(host, 0, "server") as bound:
        assert bound.family == family
        assert bound.getsockname()[1] > 0


async def test_both_listeners_have_the_port_that_they_got(tmp_path: Path) -> None:
    async with running(configuration("http://127.0.0.1:9/v1", tmp_path / "data"), tmp_path) as gateway:
        listeners = gateway.app.listeners
        assert listeners.public_port != listeners.admin_port
        for port in (listeners.public_port, listeners.admin_port):
            assert (await ask(port, GET)).status == 200


async def test_the_admin_port_in_use_leaves_the_public_port_free(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0, "admin") as taken, bind("127.0.0.1", 0, "server") as free:
        taken.listen()
        port = free.getsockname()[1]
        free.close()
        text = configuration("http://127.0.0.1:9/v1", tmp_path / "data")
        text = text.replace("port = 0", f"port = {port}", 1)
        text = text.replace("port = 0", f"port = {taken.getsockname()[1]}", 1)
        with pytest.raises(OSError, match=r"\[admin\]"):
            async with running(text, tmp_path):
                pass
        bind("127.0.0.1", port, "server").close()


async def test_whoever_is_connected_is_served_when_no_more_are_accepted(serve: Serve) -> None:
    async def handler(call: Call) -> None:
        await call.answer(200, b"ok")

    served = await serve(handler)
    async with Raw(served.port) as early:
        await early.send(GET)
        await early.response()
        served.listener.stop_accepting()
        await early.send(GET)
        assert (await early.response()).body == b"ok"
        with pytest.raises(ConnectionRefusedError):
            await ask(served.port, GET)


async def test_closing_ends_idle_connections_and_running_requests(serve: Serve) -> None:
    cancelled, entered = asyncio.Event(), asyncio.Event()

    async def handler(call: Call) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    served = await serve(handler)
    async with Raw(served.port) as idle, Raw(served.port) as busy:
        await busy.send(GET)
        await entered.wait()
        await served.listener.close()
        assert cancelled.is_set()
        assert await idle.closed()
        assert await busy.closed()
