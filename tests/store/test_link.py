"""A connection that comes back, over good lines and bad ones, to servers that freeze, die and refuse."""

import asyncio
import logging
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.address import StoreMisconfigured, parse
from gateway.store.link import Link
from gateway.store.wire import ReplyError
from tests.store.proxy import Proxy
from tests.store.servers import Server, Spawned, redis_server, until

Dial = Callable[..., Awaitable[Link]]
FOREVER = 3600.0  # a deadline that no test lives to see: what fails before it failed at once


@pytest.fixture
async def dial(spawn: Spawned) -> AsyncIterator[Dial]:
    links: list[Link] = []

    async def dial(url: str, deadline: float = FOREVER, **more: Any) -> Link:
        links.append(Link(parse(url), deadline=deadline, spawn=spawn, **more))
        await links[-1].open()
        return links[-1]

    yield dial
    for link in links:
        await link.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "gateway"]


async def test_three_thousand_cancellations_mix_up_no_answers(server: Server, dial: Dial) -> None:
    chance = random.Random(1)
    async with Proxy(server.socket, delay=0.001, jitter=0.003) as proxy:
        link = await dial(proxy.url)
        await asyncio.gather(*(link.call("SET", f"k{n}", f"value of k{n}") for n in range(50)))

        async def ask(number: int) -> bool:
            key = f"k{number % 50}"
            try:
                async with asyncio.timeout(chance.random() * 0.02):
                    assert await link.call("GET", key) == f"value of {key}".encode()
                    return True
            except TimeoutError:
                return False

        answered = 0
        for _ in range(30):
            answered += sum(await asyncio.gather(*(ask(chance.randrange(1000)) for _ in range(100))))
        assert 0 < answered < 3000
        assert await link.call("GET", "k7") == b"value of k7"
        assert link.up


async def test_a_slow_server_is_not_a_dead_one(server: Server, dial: Dial) -> None:
    async with Proxy(server.socket, delay=0.05, jitter=0.15) as proxy:
        link = await dial(proxy.url, deadline=0.25)
        for _ in range(3):
            assert await asyncio.gather(*(link.call("PING") for _ in range(50))) == [b"PONG"] * 50
        assert link.up


async def test_a_dropped_connection_is_made_again_and_nothing_is_sent_twice(
    server: Server, dial: Dial
) -> None:
    async with Proxy(server.socket) as proxy:
        link = await dial(proxy.url)
        for number in range(1, 6):
            proxy.mute = True
            call = link.call("INCR", "n")
            link.flush()
            await until(lambda: any(b"INCR" in chunk for chunk in proxy.chunks))
            await until(lambda number=number: server.tell("INCRBY n 0") == b":%d" % number)  # type: ignore[misc]
            proxy.cut()
            proxy.mute = False
            with pytest.raises(StoreUnavailable):
                await call
            await until(lambda: link.up)
        assert await link.call("GET", "n") == b"5"


async def test_a_frozen_server_costs_one_deadline_and_then_nothing(
    own: Server, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    link = await dial(own.url, deadline=0.25)
    own.process.send_signal(signal.SIGSTOP)
    results = await asyncio.gather(*(link.call("PING") for _ in range(100)), return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert not link.up
    assert all(link.call("PING").done() for _ in range(100))
    own.process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(2):
        await until(lambda: link.up)
    assert await link.call("PING") == b"PONG"
    assert lines(caplog) == ["store is down", "store is up again"]


async def test_a_server_that_is_killed_and_started_again_is_found(own: Server, dial: Dial) -> None:
    link = await dial(own.url)
    own.stop()
    with pytest.raises(StoreUnavailable):
        await link.call("PING")
    assert link.call("PING").done()
    own.start()
    await until(lambda: link.up)
    assert await link.call("PING") == b"PONG"


async def test_a_server_that_is_down_at_first_is_found_later(own: Server, dial: Dial) -> None:
    own.stop()
    link = await dial(own.url)
    assert not link.up
    with pytest.raises(StoreUnavailable):
        await link.call("PING")
    own.start()
    await until(lambda: link.up)


async def test_error_replies_fail_their_own_call_and_are_logged_once_by_kind(
    server: Server, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    link = await dial(server.url)
    calls = [link.call("SET", "k", "v"), link.call("LPUSH", "k", "v"), link.call("GET", "k")]
    calls += [link.call("LPUSH", "k", "v"), link.call("NONSENSE", "sk-gw-secret")]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert (results[0], results[2]) == (b"OK", b"v")
    assert [error.kind for error in results if isinstance(error, ReplyError)] == [
        "WRONGTYPE",
        "WRONGTYPE",
        "ERR",
    ]
    assert link.up
    assert len(lines(caplog)) == 2
    assert "sk-gw-secret" not in "".join(lines(caplog))


async def test_a_server_that_cannot_serve_for_now_counts_as_unavailable(own: Server, dial: Dial) -> None:
    link = await dial(own.url)
    await link.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(StoreUnavailable) as full:
        await link.call("SET", "k", "v")
    await link.call("CONFIG", "SET", "maxmemory", 0)
    await link.call("REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(StoreUnavailable) as replica:
        await link.call("SET", "k", "v")
    kinds = [error.value.kind for error in (full, replica) if isinstance(error.value, ReplyError)]
    assert kinds == ["OOM", "READONLY"]


async def test_the_database_of_the_url_is_used(server: Server, dial: Dial) -> None:
    third = await dial(server.url.replace("db=0", "db=3"))
    await third.call("SET", "k", "three")
    assert await (await dial(server.url)).call("GET", "k") is None
    assert await third.call("GET", "k") == b"three"


async def test_credentials_are_asked_for_in_words_and_never_shown(own: Server, dial: Dial) -> None:
    own.tell("CONFIG SET requirepass hush-hush")
    with pytest.raises(StoreMisconfigured, match="asks for a password"):
        await dial(own.url)
    with pytest.raises(StoreMisconfigured, match="refuses the user or the password") as refused:
        await dial(f"unix://:wrong-one@{own.socket}")
    link = await dial(f"unix://:hush-hush@{own.socket}")
    assert await link.call("PING") == b"PONG"
    await link.call("ACL", "SETUSER", "gw", "on", ">hush-hush", "+@all", "~*")
    assert await (await dial(f"unix://gw:hush-hush@{own.socket}")).call("PING") == b"PONG"
    assert "wrong-one" not in str(refused.value)
    assert "hush-hush" not in repr(link)


async def test_a_greeting_comes_before_anybody_else(server: Server, dial: Dial) -> None:
    async def greet(wire: Any) -> None:
        await wire.call("SET", "greeted", "yes")

    link = await dial(server.url, greet=greet)
    assert await link.call("GET", "greeted") == b"yes"


async def test_after_close_every_call_fails_and_nothing_comes_back(server: Server, dial: Dial) -> None:
    link = await dial(server.url)
    call = link.call("BLPOP", "nothing", 0)
    await link.close()
    with pytest.raises(StoreUnavailable):
        await call
    assert not link.up
    assert link.call("PING").done()


def certificate(home: Path) -> None:
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(home / "key.pem"), "-out", str(home / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.redis
async def test_tls_verifies_the_server(home: Path, dial: Dial) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options: tuple[str, ...] = ("--tls-port", str(port), "--tls-cert-file", str(home / "cert.pem"))
    options += ("--tls-key-file", str(home / "key.pem"), "--tls-auth-clients", "no", "--bind", "127.0.0.1")
    server = Server(redis_server(), home, (*options, "--tls-ca-cert-file", str(home / "cert.pem"))).start()
    try:
        trusting = await dial(f"rediss://localhost:{port}/1?ssl_ca_certs={home / 'cert.pem'}")
        assert await trusting.call("PING") == b"PONG"
        assert not (await dial(f"rediss://localhost:{port}/1")).up
    finally:
        server.stop()
