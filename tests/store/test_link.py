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
from gateway.store.address import Address, StoreMisconfigured
from gateway.store.link import Link
from gateway.store.wire import ReplyError
from tests.store.proxy import Proxy
from tests.store.servers import Server, Spawned, address_of, redis_server, until, valkey

Dial = Callable[..., Awaitable[Link]]
FOREVER = 3600.0  # a deadline that no test lives to see: what fails before it failed at once


@pytest.fixture
async def dial(spawn: Spawned) -> AsyncIterator[Dial]:
    links: list[Link] = []

    async def dial(url: str, deadline: float = FOREVER, **more: Any) -> Link:
        links.append(Link(address_of(url), deadline=deadline, spawn=spawn, **more))
        await links[-1].open()
        return links[-1]

    yield dial
    for link in links:
        await link.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "gateway"]


async def test_three_thousand_cancellations_mix_up_no_answers(single: Server, dial: Dial) -> None:
    chance = random.Random(1)
    async with Proxy(single.socket, delay=0.001, jitter=0.003) as proxy:
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


async def test_a_slow_server_is_not_a_dead_one(single: Server, dial: Dial) -> None:
    async with Proxy(single.socket, delay=0.05, jitter=0.15) as proxy:
        link = await dial(proxy.url, deadline=0.25)
        for _ in range(3):
            assert await asyncio.gather(*(link.call("PING") for _ in range(50))) == [b"PONG"] * 50
        assert link.up


async def test_a_dropped_connection_is_made_again_and_nothing_is_sent_twice(
    single: Server, dial: Dial
) -> None:
    async with Proxy(single.socket) as proxy:
        link = await dial(proxy.url)
        for number in range(1, 6):
            proxy.mute = True
            call = link.call("INCR", "n")
            link.flush()
            await until(lambda: any(b"INCR" in chunk for chunk in proxy.chunks))
            await until(lambda number=number: single.tell("INCRBY n 0") == b":%d" % number)  # type: ignore[misc]
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
    single: Server, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    link = await dial(single.url)
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
    with pytest.raises(StoreUnavailable, match="read-only") as replica:
        await link.call("SET", "k", "v")
    kinds = [error.value.kind for error in (full, replica) if isinstance(error.value, ReplyError)]
    assert kinds == ["OOM", "READONLY"]


async def test_a_server_that_was_read_only_for_a_while_is_used_again_at_once(own: Server, dial: Dial) -> None:
    link = await dial(own.url)
    connection = await link.call("CLIENT", "ID")
    for _ in range(2):
        own.tell("REPLICAOF 127.0.0.1 1")
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="read-only"):
                await link.call("SET", "k", "v")
        own.tell("REPLICAOF NO ONE")
        assert await link.call("SET", "k", "v") == b"OK"
    assert await link.call("CLIENT", "ID") == connection


class Directory:
    """Where the master is at the moment."""

    def __init__(self, master: Server) -> None:
        self.master = master

    async def addresses(self) -> list[Address]:
        return [address_of(self.master.url)]

    def context(self) -> None:
        return None


async def test_a_master_that_was_demoted_is_left_and_no_replica_is_taken_for_one(
    own: Server, home: Path, spawn: Spawned
) -> None:
    (home / "other").mkdir()
    other = Server(valkey(), home / "other").start()
    directory = Directory(own)
    link = Link(directory, deadline=FOREVER, spawn=spawn, master=True)
    try:
        await link.open()
        assert await link.call("SET", "k", "v") == b"OK"
        own.tell("REPLICAOF 127.0.0.1 1")
        calls = link.call("SET", "k", "v"), link.call("GET", "k")
        assert all(isinstance(error, StoreUnavailable) for error in [await ended(call) for call in calls])
        assert not link.up
        await until(lambda: "master is being replaced" in str(link.call("PING").exception()))
        directory.master = other
        await until(lambda: link.up)
        assert await link.call("GET", "k") is None
    finally:
        await link.close()
        other.stop()


async def ended(call: asyncio.Future[Any]) -> BaseException | None:
    await asyncio.wait([call])
    return call.exception()


async def test_while_it_is_down_every_call_says_when_to_come_back(own: Server, dial: Dial) -> None:
    link = await dial(own.url)
    calls = [link.call("BLPOP", "nothing", 0) for _ in range(50)]
    own.stop()
    said = [await ended(call) for call in calls]
    for _ in range(20):
        said += [link.call("PING").exception() for _ in range(50)]
        await asyncio.sleep(0.01)
    times = [error.retry_ms for error in said if isinstance(error, StoreUnavailable)]
    assert len(times) == 1050
    assert all(time is not None and 1000 <= time <= 2000 for time in times)
    assert len(set(times)) > 500


async def test_what_is_called_while_it_begins_waits_for_the_first_attempt(
    own: Server, spawn: Spawned
) -> None:
    link = Link(address_of(own.url), deadline=FOREVER, spawn=spawn)
    link.begin()
    calls = [link.call("RPUSH", "l", number) for number in range(3)]
    assert link.beginning
    assert not link.up
    assert await asyncio.gather(*calls) == [1, 2, 3]
    assert link.up
    assert link.idle
    assert not link.beginning
    await link.close()
    own.stop()
    link = Link(address_of(own.url), deadline=FOREVER, spawn=spawn)
    link.begin()
    with pytest.raises(StoreUnavailable):
        await link.call("PING")
    assert link.call("PING").done()
    own.start()
    await until(lambda: link.up)
    await link.close()


async def test_a_first_attempt_that_never_ends_is_ended_by_close(own: Server, spawn: Spawned) -> None:
    own.freeze()
    link = Link(address_of(own.url), deadline=FOREVER, spawn=spawn)
    link.begin()
    call = link.call("PING")
    await asyncio.sleep(0)
    await link.close()
    assert isinstance(await ended(call), StoreUnavailable)
    own.thaw()


async def test_the_database_of_the_url_is_used(single: Server, dial: Dial) -> None:
    third = await dial(single.url.replace("db=0", "db=3"))
    await third.call("SET", "k", "three")
    assert await (await dial(single.url)).call("GET", "k") is None
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


async def test_a_greeting_comes_before_anybody_else(single: Server, dial: Dial) -> None:
    async def greet(wire: Any) -> None:
        await wire.call("SET", "greeted", "yes")

    link = await dial(single.url, greet=greet)
    assert await link.call("GET", "greeted") == b"yes"


async def test_after_close_every_call_fails_and_nothing_comes_back(single: Server, dial: Dial) -> None:
    link = await dial(single.url)
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
