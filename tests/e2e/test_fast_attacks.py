"""What was made fast is attacked where money is: one round trip, bounds instead of counts, shared answers."""

import asyncio
import json
import os
import random
from typing import Any

import pytest

from gateway.policy.entry import Entry, seal
from gateway.store import scripts
from gateway.store.keyspace import ENTRY
from gateway.store.redis import RedisStore
from tests import books
from tests.conftest import Start
from tests.e2e.house import Build, House
from tests.e2e.outage import INPUT, OUTPUT, REFUSED, SERVED, Told, asked_until, audit, gated
from tests.running import KEY, Running
from tests.scripted import Scripted, chat, hold, sse
from tests.waiting import until

PROOF = bool(os.environ.get("GATEWAY_PROOF"))
RACERS, LEAVERS = (400, 40) if PROOF else (100, 6)
TURNS = 3 if PROOF else 1
CHAT = "/v1/chat/completions"
CACHED = "[cache]\nenabled = true\n"
COST = 9 * INPUT + 3 * OUTPUT  # of what `chat` answers
DELTA = {"id": "c", "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
END = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"id": "c", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}


def question(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "max_tokens": 5, "messages": [{"role": "user", "content": text}]} | more


async def ask(gateway: Running, body: dict[str, Any], key: str = KEY) -> tuple[int, str]:
    async with gateway.post(CHAT, body, key=key) as answer:
        await answer.read()
        return answer.status, answer.headers["x-gateway-cache"]


async def made(gateway: Running, team: str, *limits: str) -> str:
    """A new key of that team."""
    record = {"name": f"of {team}", "team": team, "limits": list(limits)}
    async with gateway.admin("POST", "/admin/v1/keys", record) as answer:
        return str((await answer.json())["key"])


async def spent(gateway: Running) -> int:
    return sum(row.cost or 0 for row in await books.rows(gateway))


# ---- one round trip -------------------------------------------------------------------------------------


@pytest.mark.parametrize("alike", [1, 5, RACERS] if PROOF else [5, RACERS])
async def test_two_gateways_never_spend_more_than_there_is(
    start: Start, upstream: Scripted, alike: int
) -> None:
    """`alike`: so many different questions among the racers. The budget is one answer's cost, seven times."""
    upstream.plan(chat())
    limits = f'["${7 * COST / 10**9:.9f}/total", "10M tokens/day"]'
    first = await start(limits=limits)
    second = await start(limits=limits, store=first.store_url, name="b")
    racers = [(first, second)[n % 2] for n in range(RACERS)]
    for turn in range(TURNS):
        asked = (ask(each, question(f"{turn} {n % alike}")) for n, each in enumerate(racers))
        statuses = [status for status, _ in await asyncio.gather(*asked)]
        assert set(statuses) <= {200, 429}
        await second.concluded()
        (used, _) = await books.used(first)
        assert used == upstream.calls * COST == await spent(first)
        assert used <= 7 * COST
    # What is left is less than the worst case of another question: the rest is spent one by one.
    for n in range(10):
        await ask(racers[n], question(f"last {n}"))
    await second.concluded()
    assert (await books.used(first))[0] == upstream.calls * COST <= 7 * COST


def _truncated(entry: bytes, key: bytes) -> bytes:
    return entry[:-1]


def _foreign(entry: bytes, key: bytes) -> bytes:
    kept = Entry("plain", 200, [("content-type", "application/json")], [b'{"stolen":1}'], 0, "m", "u")
    return seal(kept, key, b"another secret")


def _garbage(entry: bytes, key: bytes) -> bytes:
    return b"\x00" * 2_000_000  # more than a script sends


@pytest.mark.parametrize("spoil", [_truncated, _foreign, _garbage])
async def test_what_cannot_be_unsealed_is_a_miss_that_is_reserved_and_charged(
    start: Start, upstream: Scripted, spoil: Any
) -> None:
    gateway = await start(limits='["$1/total", "2 concurrent"]')
    upstream.plan(chat())
    assert await ask(gateway, question()) == (200, "miss")
    await gateway.concluded()
    store: RedisStore = gateway.app.store
    link = store._links[0]
    (name,) = [key for key in await link.call("KEYS", "*") if key.startswith(ENTRY)]
    await link.call("SET", name, spoil(await link.call("GET", name), name.removeprefix(ENTRY)))
    gate = asyncio.Event()
    upstream.plan(hold(gate, chat()))
    asking = asyncio.create_task(ask(gateway, question()))
    await upstream.received(2)
    client = gateway.gateway.clients.everybody()[0]
    now = gateway.gateway.clock.now()
    money, slots = await gateway.gateway.holds.standings(client.shard, client.limits, now)
    assert (money.held > 0, slots.used) == (True, 1)
    assert len(gateway.gateway.open_holds) == 1
    gate.set()
    assert await asking == (200, "miss")
    assert (await books.used(gateway))[0] == 2 * COST
    assert await ask(gateway, question()) == (200, "hit")
    await books.agree(gateway, [client])


async def test_who_is_refused_what_it_spends_gives_back_what_it_was_admitted(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["$0.000001/total", "5 requests/day", "1 concurrent"]')
    for number in range(8):
        assert (await ask(gateway, question(f"{number}")))[0] == 429
    assert await books.used(gateway) == [0, 0, 0]
    assert upstream.calls == 0
    assert {row.settled for row in await books.rows(gateway)} == {"none"}


async def test_a_hundred_of_three_teams_settle_in_one_turn_and_every_book_agrees(
    start: Start, upstream: Scripted
) -> None:
    more = "".join(
        f'[[teams]]\nname = "t{n}"\nlimits = ["$1/total", "90 requests/total"]\n' for n in range(3)
    )
    gateway = await start(more)
    keys = [await made(gateway, f"t{n}", "30 concurrent") for n in range(3)]
    gate = asyncio.Event()
    upstream.plan(hold(gate, chat()))
    asked = [asyncio.create_task(ask(gateway, question(str(n)), keys[n % 3])) for n in range(99)]
    await until(lambda: upstream.calls == 90 and sum(task.done() for task in asked) == 9)
    gate.set()
    statuses = [status for status, _ in await asyncio.gather(*asked)]
    await books.agree(gateway, gateway.gateway.clients.everybody())
    assert statuses.count(200) == upstream.calls == 90


# ---- a store that does not answer in time ---------------------------------------------------------------


async def crowd(house: House, size: int, told: list[Told]) -> None:
    """Identical questions and others, at once."""
    told += await asyncio.gather(*(house.ask(text=f"Where is {n % 4}?") for n in range(size)))


@pytest.mark.parametrize("seconds", [0.3, 1.0] if PROOF else [0.5])
async def test_a_store_that_stops_in_the_middle_of_a_crowd(
    build: Build, upstream: Scripted, seconds: float
) -> None:
    """Who was asked for is charged once, and nobody else: also where the store hears of it much later."""
    house = await build(more=CACHED, money='["$1/total", "1000 requests/day"]')
    told = [await house.ask(text="warm")]
    crowds = [asyncio.create_task(crowd(house, 20, told))]
    for _ in range(4):
        await asyncio.sleep(0)
    house.server.freeze()
    await asyncio.sleep(seconds)
    crowds.append(asyncio.create_task(crowd(house, 20, told)))
    house.server.thaw()
    await asyncio.gather(*crowds)
    told += await asked_until(lambda: house.ask(text="after"), *SERVED)
    await house.replayed()
    assert {each.outcome for each in told} <= {SERVED, REFUSED}
    await audit_calls(house, told)


async def audit_calls(house: House, told: list[Told]) -> None:
    """As `audit`, where some of the answers were nobody's own: what was cached or joined costs nothing."""
    paid = [each for each in told if each.headers.get("x-gateway-cache") in ("miss", "bypass")]
    await house.concluded()
    await house.replayed()
    await until(lambda: int(house.server.ask("ZCARD", "gw:{gateway}:leases") or 0) == 0)
    rows = await house.rows()
    cost = sum(each.cost for each in paid)
    assert sum(row["cost_nano"] for row in rows) == cost
    assert await house.used() == cost


@pytest.mark.parametrize("turn", range(3 if PROOF else 2))
async def test_the_reply_to_everything_at_once_is_lost(build: Build, upstream: Scripted, turn: int) -> None:
    """With a cache and with others who wait for the same: nobody is charged for what was never asked."""
    house = await build(bad=True, more=CACHED, money='["$1/total", "1000 requests/day"]')
    told = [await house.ask(text="warm")] if turn else []
    house.line.set(scripts.ENTER)
    told += await asyncio.gather(*(house.ask(text=f"Where is {n % 2}?") for n in range(8)))
    assert house.line.caught == 1
    told += await asked_until(lambda: house.ask(text="after"), *SERVED)
    await audit_calls(house, told)


async def test_refused_while_the_store_may_have_heard_is_never_charged(
    build: Build, upstream: Scripted
) -> None:
    """The command arrives and its reply does not, and the lease ends before the store is back: it is charged
    by then, and given back."""
    house = await build(bad=True, more=CACHED)
    told = [await house.ask(text="warm")]
    house.line.mute = True
    assert (await house.ask(text="never")).outcome == REFUSED
    await asyncio.sleep(1.2)  # the lease
    house.line.mute = False
    told += await asked_until(lambda: house.ask(text="after"), *SERVED)
    await audit_calls(house, told)
    assert upstream.calls == 2


# ---- what is shared -------------------------------------------------------------------------------------


def stream_request(text: str, key: str = KEY) -> bytes:
    body = json.dumps(question(text, stream=True, stream_options={"include_usage": True})).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def test_the_leader_leaves_at_each_chunk_and_the_others_read_every_byte(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["$1/total", "100 concurrent"]')
    port, chance = gateway.app.listeners.public_port, random.Random(5)
    for turn in range(LEAVERS):
        gates = [asyncio.Event() for _ in range(6)]
        parts = [part for gate in gates for part in (gate, DELTA)]
        upstream.plan(sse([*parts, END, USAGE]))
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        for _, writer in clients:
            writer.write(stream_request(f"turn {turn}"))
            await asyncio.sleep(0.001)
        await upstream.received(turn + 1)
        await until(lambda: gateway.gateway.flights.readers() == 4)
        for number, gate in enumerate(gates):
            if number == turn % 6:
                clients[0][1].transport.abort()
            gate.set()
            for _ in range(chance.randrange(5)):
                await asyncio.sleep(0)
        for reader, writer in clients[1:]:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            body = await reader.readuntil(b"0\r\n\r\n")
            assert body.count(b"word ") == 6
            assert body.count(b"prompt_tokens") == body.count(b"[DONE]") == 1
            writer.close()
    assert upstream.calls == LEAVERS
    await until(lambda: len(gateway.gateway.flights) == 0)
    assert (await books.used(gateway))[0] == LEAVERS * COST
    await books.agree(gateway, gateway.gateway.clients.everybody())


async def test_the_same_question_of_two_teams_is_asked_twice_and_kept_apart(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start('[[teams]]\nname = "other"\n')
    other = await made(gateway, "other")
    gate = asyncio.Event()
    upstream.plan(hold(gate, chat("one")), hold(gate, chat("two")))
    asked = [asyncio.create_task(ask(gateway, question(), key)) for key in (KEY, other, KEY, other)]
    await upstream.received(2)
    gate.set()
    assert sorted(await asyncio.gather(*asked)) == sorted([(200, "miss"), (200, "joined")] * 2)
    assert upstream.calls == 2
    assert await ask(gateway, question(), other) == await ask(gateway, question()) == (200, "hit")


# ---- bounds instead of counts ---------------------------------------------------------------------------


async def test_nobody_gets_past_the_edge_of_a_wide_limit(start: Start, upstream: Scripted) -> None:
    """A million tokens a day, all but the last of them used: the rest is never more than used up."""
    upstream.plan(chat(prompt_tokens=999_000, completion_tokens=0), *[chat()] * 300)
    gateway = await start("[cache]\nenabled = false\n", limits='["1M tokens/day"]')
    assert (await ask(gateway, question()))[0] == 200
    await gateway.concluded()
    for turn in range(100):
        asked = (ask(gateway, question(f"{turn} {n}", max_tokens=3)) for n in range(30))
        statuses = {status for status, _ in await asyncio.gather(*asked)}
        (used,) = await books.used(gateway)
        assert used <= 1_000_000
        if statuses == {429}:
            break
    assert used >= 999_000  # what a bound keeps from anybody is less than a thousandth


@pytest.mark.parametrize("limit", ['["1000M tokens/day"]', '["50k tokens/day"]', "[]"])
async def test_an_estimate_is_the_same_however_wide_the_limit_is(
    start: Start, upstream: Scripted, limit: str
) -> None:
    gateway = await start(limits=limit)
    upstream.plan(chat("Hello there.", usage=None))
    async with gateway.post(CHAT, question("What is a lamp? " * 40)) as answer:
        assert answer.status == 200
    (row,) = await books.rows(gateway)
    assert (row.settled, row.input, row.output) == ("estimate", 3 + 4 + 201, 3)


async def test_gated_streams_are_what_they_were(build: Build, upstream: Scripted) -> None:
    """A stream whose reservation is a bound, and its store away at the end, is charged what it used."""
    house = await build(money='["$1000/total"]')
    gate = asyncio.Event()
    upstream.plan(gated(gate))
    async with house.streaming() as stream:
        house.server.stop()
        gate.set()
        told = [await stream.rest()]
    house.server.start()
    await house.replayed()
    await audit(house, house.server, told, limit="$1000/total")
