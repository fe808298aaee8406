"""The store is told what it missed: all of it, once, whatever it had heard already."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from gateway.away.journal import Journal
from gateway.away.replay import EXPIRED_MS, REMEMBERED_MS, replay, replay_forever
from gateway.errors import StoreReset, StoreUnavailable
from gateway.policy import ledger
from gateway.policy.limits import parse_limit
from gateway.policy.records import Claim, Unit
from gateway.store.base import TOMBSTONE_MS
from gateway.store.holds import EXPIRED_MS as EXPIRED_IN_THE_STORE
from gateway.store.redis import RedisStore
from tests.away.entries import BUDGET, LEASE, TEAM, claims, pending, record
from tests.store.servers import NOW, Connect, Server, Spawned, until

DAILY = parse_limit("10 requests/day", "team:research")


async def used(store: RedisStore, now: int = NOW) -> int:
    (standing,) = await store.holds.standings(TEAM, [BUDGET], now)
    return standing.used


async def rows(store: RedisStore) -> list[tuple[str, int]]:
    found = [ledger.decode(kept.row) for kept in await store.ledger.oldest(None, 1000)]
    return [(row.id, row.input) for row in found]


@pytest.fixture
async def store(own: Server, connect: Connect) -> RedisStore:
    return await connect(own.url, deadline=0.3)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(tmp_path)


def at(now: int) -> Callable[[], int]:
    return lambda: now


async def tell(journal: Journal, store: RedisStore, now: int = NOW) -> int:
    return await replay(journal, store.holds, store.ledger, at(now))


def test_what_the_store_remembers_is_relied_on_for_less_time_than_it_does() -> None:
    assert REMEMBERED_MS < TOMBSTONE_MS
    assert EXPIRED_MS < EXPIRED_IN_THE_STORE


async def test_what_the_store_never_heard_of_is_charged_and_written(
    store: RedisStore, journal: Journal
) -> None:
    for name, tokens in (("a", 10), ("b", 20)):
        journal.keep(pending(name, tokens))
    assert await tell(journal, store) == 2
    assert (await used(store), await rows(store)) == (30, [("a", 10), ("b", 20)])
    assert await tell(journal, store) == 0
    journal.close()


async def test_a_hold_that_the_store_has_is_ended(store: RedisStore, journal: Journal) -> None:
    await store.holds.reserve(TEAM, "a", "reserve", claims(), NOW, LEASE)
    store.holds.dispatch(TEAM, "a", NOW, LEASE)
    journal.keep(pending("a", 10))
    await tell(journal, store)
    assert (await used(store), await rows(store)) == (10, [("a", 10)])
    assert await store.holds.expire(NOW + LEASE) == []
    journal.close()


async def test_a_hold_for_which_nothing_was_done_is_given_back(store: RedisStore, journal: Journal) -> None:
    """Its request too: settled with nothing spent, it would stay charged."""
    await store.holds.reserve(TEAM, "a", "admit", [Claim(DAILY, 1, held=False)], NOW, LEASE)
    await store.holds.reserve(TEAM, "a", "reserve", claims(), NOW, LEASE)
    store.holds.dispatch(TEAM, "a", NOW, LEASE)
    journal.keep(replace(pending("a", 0), released=True))
    assert await tell(journal, store) == 1
    standings = await store.holds.standings(TEAM, [BUDGET, DAILY], NOW)
    assert [standing.used for standing in standings] == [0, 0]
    assert await rows(store) == [("a", 0)]
    journal.close()


async def test_a_store_that_goes_away_again_is_told_the_rest_later(
    own: Server, store: RedisStore, journal: Journal
) -> None:
    for n in range(5):
        journal.keep(pending(f"h{n}", 10))
    assert journal.oldest()
    await store.holds.settle(TEAM, "h0", {Unit.TOKENS: 10}, NOW, claims=claims(), claimed=NOW)
    own.process.send_signal(signal.SIGSTOP)
    assert await tell(journal, store) == 0
    assert len(journal) == 5
    own.process.send_signal(signal.SIGCONT)
    await until(lambda: store.up)
    await tell(journal, store)
    assert (await used(store), len(journal)) == (50, 0)
    journal.close()


@pytest.mark.parametrize("later", [1_000, TOMBSTONE_MS + 1, EXPIRED_MS + 1])
async def test_what_was_settled_and_the_reply_lost_is_charged_once(
    own: Server, store: RedisStore, journal: Journal, later: int
) -> None:
    """The store is frozen, the settle is sent, nobody hears the answer; the tombstone may be gone since."""
    await store.holds.reserve(TEAM, "a", "reserve", claims(), NOW, LEASE)
    own.process.send_signal(signal.SIGSTOP)
    with pytest.raises(StoreUnavailable):
        await store.holds.settle(
            TEAM, "a", {Unit.TOKENS: 10}, NOW, record("a", 10), claims=claims(), claimed=NOW
        )
    journal.keep(pending("a", 10))
    own.process.send_signal(signal.SIGCONT)
    await until(lambda: store.up)
    assert await used(store) == 10
    if later > TOMBSTONE_MS:
        assert own.tell("DEL gw:{0}:hold:a") == b":1"
    assert await tell(journal, store, NOW + later) == 0
    assert (await used(store), await rows(store), len(journal)) == (10, [("a", 10)], 0)
    journal.close()


@pytest.mark.parametrize("later", [1_000, TOMBSTONE_MS + 1])
async def test_what_its_lease_was_charged_for_is_corrected_by_the_difference(
    store: RedisStore, journal: Journal, later: int
) -> None:
    await store.holds.reserve(TEAM, "a", "reserve", claims(), NOW, LEASE)
    store.holds.dispatch(TEAM, "a", NOW, LEASE, record("a", 900, "lease"))
    assert len(await store.holds.expire(NOW + LEASE)) == 1
    journal.keep(pending("a", 10))
    assert await tell(journal, store, NOW + later) == 1
    assert (await used(store), await rows(store)) == (10, [("a", 900), ("a", -890)])
    journal.close()


@pytest.mark.parametrize("late", [True, False])
async def test_what_a_lease_had_cost_is_told_as_taken_back(
    store: RedisStore, journal: Journal, late: bool
) -> None:
    lease = ledger.Row(id="a", time=NOW, key="alice", endpoint="chat", team=TEAM, cost=700, settled="lease")
    row = msgspec.structs.replace(lease, cost=30, settled="usage")
    store.holds.dispatch(TEAM, "a", NOW, LEASE, ledger.record_of(lease, "2026-09-21", None))
    if late:
        await store.holds.expire(NOW + LEASE)
    told = ledger.record_of(row, "2026-09-21", None, (lease, None))
    journal.keep(msgspec.structs.replace(pending("a", 10), record=told))
    refunds: list[int] = []
    for _ in range(2):
        await replay(journal, store.holds, store.ledger, at(NOW + LEASE), refunds.append)
    assert refunds == ([700] if late else [])
    journal.close()


async def test_a_lease_that_the_store_has_forgotten_stands(
    own: Server, store: RedisStore, journal: Journal
) -> None:
    await store.holds.reserve(TEAM, "a", "reserve", claims(), NOW, LEASE)
    store.holds.dispatch(TEAM, "a", NOW, LEASE, record("a", 900, "lease"))
    await store.holds.expire(NOW + LEASE)
    own.tell("DEL gw:{0}:hold:a")
    journal.keep(pending("a", 10))
    assert await tell(journal, store, NOW + EXPIRED_MS + 1) == 0
    assert (await used(store), await rows(store)) == (900, [("a", 900)])
    journal.close()


async def test_what_the_dead_had_under_way_is_charged_as_the_worst_it_can_have_been(
    store: RedisStore, tmp_path: Path
) -> None:
    dead = Journal.open(tmp_path)
    dead.intend(pending("a", dispatched=True))
    dead.close()
    for _ in range(2):  # two that replay the same, one after the other
        journal = Journal.open(tmp_path)
        await tell(journal, store, NOW + TOMBSTONE_MS + 1)
        journal.close()
    assert (await used(store), await rows(store)) == (900, [("a", 900)])


async def test_replaying_twice_charges_once(store: RedisStore, tmp_path: Path) -> None:
    """The file is there again, as after a crash that the disk had not heard of."""
    dead = Journal.open(tmp_path)
    dead.intend(pending("lost", dispatched=True))
    dead.keep(pending("a", 10))
    dead.close()
    (file,) = tmp_path.glob("*.log")
    text = file.read_bytes()
    for later in (0, 1_000, TOMBSTONE_MS + 1):
        journal = Journal.open(tmp_path)
        await tell(journal, store, NOW + later)
        journal.close()
        assert not list(tmp_path.glob("*.log"))
        file.write_bytes(text)
        assert (await used(store), sorted(await rows(store))) == (910, [("a", 10), ("lost", 900)])


async def test_an_entry_that_the_store_will_never_take_stops_no_other(
    store: RedisStore, journal: Journal
) -> None:
    two = Claim(parse_limit("5 requests/day", "team:research"), -1, held=False)
    journal.keep(pending("a"))
    bad = pending("bad")
    journal.keep(
        type(bad)(**{name: getattr(bad, name) for name in bad.__struct_fields__} | {"claims": (two,)})
    )
    journal.keep(pending("b"))
    await tell(journal, store)
    assert (await rows(store), len(journal), journal.damaged) == ([("a", 10), ("b", 10)], 0, 1)
    journal.close()


async def test_a_store_that_was_emptied_is_told_nothing(
    own: Server, store: RedisStore, journal: Journal
) -> None:
    store.expect(await store.epoch("one"))
    own.tell("FLUSHALL")
    with pytest.raises(StoreReset):
        await store.holds.reserve(TEAM, "a", "reserve", claims(), NOW, LEASE)
    journal.keep(pending("a"))
    assert await tell(journal, store) == 0
    assert len(journal) == 1
    journal.close()


async def test_within_a_second_of_the_stores_coming_back(
    own: Server, store: RedisStore, journal: Journal, spawn: Spawned
) -> None:
    caught_up: list[int] = []
    own.stop()
    await until(lambda: not store.up)
    journal.keep(pending("a", 10))
    work = spawn(replay_forever(journal, store, at(NOW), lambda: caught_up.append(len(journal))), "replay")
    await asyncio.sleep(0)
    assert not caught_up
    own.start()
    await until(lambda: caught_up)
    assert (caught_up[0], await rows(store)) == (0, [("a", 10)])
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    journal.close()


async def test_it_adopts_what_another_process_left_when_it_died(
    store: RedisStore, tmp_path: Path, spawn: Spawned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.away.replay.ADOPT_SECONDS", 0.0)
    dead, journal = Journal.open(tmp_path), Journal.open(tmp_path)
    work = spawn(replay_forever(journal, store, at(NOW), lambda: None), "replay")
    dead.keep(pending("a", 10))
    dead.close()
    await until(lambda: not list(tmp_path.glob("*.log"))[1:])
    assert await rows(store) == [("a", 10)]
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    journal.close()
