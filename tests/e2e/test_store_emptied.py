"""A store that lost its memory, or is another one: nobody gets a fresh budget or loses a key."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.store import keyspace
from tests.e2e.house import AOF, Build
from tests.e2e.outage import (
    BASE,
    ENVIRON,
    RATED,
    REFUSED,
    RESET,
    SERVED,
    USED_UP,
    WRONG_KEY,
    Gateways,
    asked_until,
    audit,
    config,
    gated,
    in_step,
)
from tests.running import KEY, running
from tests.scripted import Scripted
from tests.served import served
from tests.store.servers import Server, valkey
from tests.waiting import until, until_answer

# One request of `outage.question` has more than 30,000 nano-dollars set aside, and costs about 6,000.
WORST = 40_000
SMALL = "$0.00004/total"


def flush(server: Server) -> None:
    assert server.tell("FLUSHALL") == b"+OK"


def lose(server: Server) -> None:
    server.stop()
    shutil.rmtree(server.folder / "appendonlydir")
    server.start()


def lost(records: list[logging.LogRecord]) -> int:
    return sum(getattr(record, "code", "") == "store_reset" for record in records)


@pytest.mark.parametrize("emptied", [flush, lose])
async def test_emptied(
    build: Build,
    upstream: Scripted,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    emptied: Callable[[Server], None],
) -> None:
    """Under two gateways that drain into one database. The first is asked to accept, the second follows."""
    database = tmp_path / "ledger.db"
    sink = f'[ledger]\nsink = "sqlite:{database}"\n'
    house = await build(rates='["5 requests/hour"]', more=sink)
    other = config(upstream, tmp_path, house.server.url, rates='["5 requests/hour"]', more=sink)
    async with served(tmp_path, config=other, environ=ENVIRON) as second:
        house.places += ((second.url, second.admin_url),)
        poor = await house.make_key("poor", SMALL)
        slow = await house.make_key("slow", "$1/total")
        await asked_until(lambda: house.ask(poor), *USED_UP)
        told = [await house.ask(), await house.ask(at=1)]
        assert (await house.ask(RATED)).outcome == SERVED
        gate = asyncio.Event()
        upstream.plan(gated(gate))
        async with house.streaming(slow) as stream:
            upstream.plan()
            await until_answer(lambda: in_step(house, database), True)
            before = await house.rows()
            emptied(house.server)
            await until_answer(lambda: complaints(house), ["emptied", "emptied"])
            for at in (0, 1):
                for key in (KEY, poor, slow):
                    refused = await house.ask(key, at)
                    assert refused.outcome == RESET
                    assert 1 <= int(refused.headers["retry-after"]) <= 5
                assert (await house.ask("sk-gw-nobody-0123456789abcdef", at)).outcome == WRONG_KEY
            assert (await house.ask(RATED)).outcome == SERVED
            gate.set()
            streamed = await stream.rest()
        assert lost(caplog.records) == 1

        status, accepted = await house.admin("POST", "store/accept")
        assert (status, accepted["source"], accepted["rows"]) == (200, "sink", before[-1]["number"])
        await until_answer(lambda: complaints(house), ["", ""])
        await house.replayed()
        for at in (0, 1):
            assert (await house.ask(poor, at)).outcome == USED_UP
            told.append(await house.ask(at=at))
            assert told[-1].outcome == SERVED
        await until_answer(lambda: in_step(house, database), True)
        await audit(house, house.server, told, usage=False)
        assert await house.used(at=1) == await house.used()
        # It was under way during the loss: counted at least once.
        assert streamed.cost <= await house.used("slow") <= streamed.cost + WORST
        rows = await house.rows()
        assert rows[: len(before)] == before
        assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
        assert lost(caplog.records) == 1
    assert second.output.count('"code":"store_reset"') == 1


async def test_emptied_while_no_gateway_ran(upstream: Scripted, home: Path) -> None:
    """What is remembered in the data folder is enough to notice it."""
    server = Server(valkey(), home, AOF).start()
    text = config(
        upstream, home, server.url, money=f'["{SMALL}"]', more=f'[ledger]\nsink = "sqlite:{home}/l.db"\n'
    )
    try:
        async with running(text, home, ENVIRON) as first:
            house = Gateways(first.session, (first.url, first.admin_url))
            made = await house.make_key("made")
            await asked_until(house.ask, *USED_UP)
        flush(server)
        async with running(text, home, ENVIRON) as again:
            house = Gateways(again.session, (again.url, again.admin_url))
            assert await complaints(house) == ["emptied"]
            assert (await house.ask()).outcome == RESET
            assert (await house.ask(made)).outcome == REFUSED  # it cannot be told whether it is a key
            status, answer = await house.admin("POST", "store/accept")
            assert (status, "only declared keys" in answer["error"]["message"]) == (409, True)
            assert (await house.admin("POST", "store/accept", {"without_keys": True}))[0] == 200
            await until_answer(lambda: complaints(house), [""])
            assert (await house.ask()).outcome == USED_UP
            assert (await house.ask(made)).outcome == WRONG_KEY
    finally:
        server.stop()


async def test_another_store_at_the_same_address(build: Build, tmp_path: Path) -> None:
    """Nothing is taken from it or written to it; when the right one is back, it is served from again."""
    database = tmp_path / "ledger.db"
    house = await build(rates='["5 requests/hour"]', more=f'[ledger]\nsink = "sqlite:{database}"\n')
    told = [await house.ask()]
    await until_answer(lambda: in_step(house, database), True)
    server, aside = house.server, tmp_path / "aside"
    server.stop()
    shutil.move(server.folder / "appendonlydir", aside)
    server.start()
    server.ask("SET", keyspace.epoch(BASE), "another")
    await until_answer(lambda: complaints(house), ["another"])
    assert (await house.ask()).outcome == RESET
    assert (await house.ask(RATED)).outcome == SERVED
    await until(lambda: len(house.gateway.journal) == 1)
    before = looked(server)
    await until(lambda: looked(server) >= before + 5)
    assert server.ask("KEYS", "gw:{0}:*") == [keyspace.epoch(BASE).encode()]
    server.stop()
    shutil.rmtree(server.folder / "appendonlydir")
    shutil.move(aside, server.folder / "appendonlydir")
    server.start()
    await until_answer(lambda: complaints(house), [""])
    told += await asked_until(house.ask, *SERVED)
    await house.replayed()
    await audit(house, server, told)
    assert await house.used("rated", "5 requests/hour") == 1


def looked(server: Server) -> int:
    """How often somebody has asked the server for its name: who would write does so each time."""
    (line,) = (
        each for each in server.ask("INFO", "commandstats").split() if each.startswith(b"cmdstat_get:")
    )
    return int(line.split(b"calls=")[1].split(b",")[0])


async def complaints(house: Gateways) -> list[str]:
    """Of each gateway: ready (nothing), "emptied", "another", or something else."""
    answers = [await house.get("/readyz", at) for at in range(len(house.places))]
    return [_short(" ".join(answer["reasons"])) for _, answer in answers]


def _short(reason: str) -> str:
    words = {"the store was emptied": "emptied", "the store is not the one": "another"}
    return next((short for begin, short in words.items() if reason.startswith(begin)), reason)
