"""Clients who never stop, and a store that is hurt again and again: each answer is charged once, exactly.

`GATEWAY_PROOF` hurts it two hundred times.
"""

import asyncio
import contextlib
import os
import random
from collections.abc import Iterator

from tests.e2e.house import Build, House
from tests.e2e.outage import REFUSED, SERVED, Told, audit
from tests.waiting import until

FAULTS = 200 if os.environ.get("GATEWAY_PROOF") else 14
LIMITS = '["$1/total", "50 concurrent", "1M requests/day", "1000M tokens/day"]'


async def test_whatever_happens_and_whenever(build: Build) -> None:
    house = await build(bad=True, money=LIMITS)
    chance = random.Random(20261122)
    over = asyncio.Event()
    asking = [asyncio.create_task(_asking(house, number, over)) for number in range(4)]
    faults = [_killed, _frozen, _cut, _muted, _out_of_memory, _read_only, _forgetful]
    for number in range(FAULTS):
        fault = faults[number % len(faults)]
        with fault(house):
            await asyncio.sleep(chance.uniform(0.0, 0.4))
        await asyncio.sleep(chance.uniform(0.0, 0.4))
    await until(lambda: house.up)
    over.set()
    told = [each for client in await asyncio.gather(*asking) for each in client]
    assert {each.outcome for each in told} <= {SERVED, REFUSED}
    await house.replayed()
    await audit(house, house.server, told)
    answered = sum(each.outcome == SERVED for each in told)
    assert answered > FAULTS
    assert await house.used(limit="1M requests/day") == answered
    assert await house.used(limit="50 concurrent") == 0


async def _asking(house: House, client: int, over: asyncio.Event) -> list[Told]:
    told: list[Told] = []
    while not over.is_set():
        told.append(await house.ask(seed=1_000_000 * client + len(told)))
        await asyncio.sleep(0.01)
    return told


@contextlib.contextmanager
def _killed(house: House) -> Iterator[None]:
    house.server.stop()
    yield
    house.server.start()


@contextlib.contextmanager
def _frozen(house: House) -> Iterator[None]:
    house.server.freeze()
    yield
    house.server.thaw()


@contextlib.contextmanager
def _cut(house: House) -> Iterator[None]:
    house.line.cut()
    yield
    house.line.cut()


@contextlib.contextmanager
def _muted(house: House) -> Iterator[None]:
    """The server hears everything, and is not heard."""
    house.line.mute = True
    yield
    house.line.mute = False
    house.line.cut()


@contextlib.contextmanager
def _out_of_memory(house: House) -> Iterator[None]:
    house.server.ask("CONFIG", "SET", "maxmemory", 1)
    yield
    house.server.ask("CONFIG", "SET", "maxmemory", 0)


@contextlib.contextmanager
def _read_only(house: House) -> Iterator[None]:
    house.server.ask("REPLICAOF", "127.0.0.1", "1")
    yield
    house.server.ask("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def _forgetful(house: House) -> Iterator[None]:
    house.server.tell("SCRIPT FLUSH")
    yield
    house.server.tell("SCRIPT FLUSH")
