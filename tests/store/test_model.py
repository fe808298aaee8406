"""The scripts and the plain model do the same, whatever comes in whatever order, repeated, late, or lost.

`GATEWAY_PROOF` tries two thousand histories instead of a few.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.errors import StoreReset
from gateway.policy.ledger import SUMS, Row, decode
from gateway.policy.records import Claim, Kind, Limit, Record, Unit, Verdict, Window
from gateway.store.base import Ended
from gateway.store.redis import RedisStore, open_store
from tests.store.claims import assert_chain, record, row
from tests.store.model import DAY, Model
from tests.store.servers import NOW, Cluster, Server, Spawned

PROOF = 2000 if os.environ.get("GATEWAY_PROOF") else 60
TEAM = "research"
LONGEST_LEASE = 120_000
KEPT, ENTRY = b"kept", b"an answer"
T = TypeVar("T")

LIMITS = (
    Limit("3 requests/second", Unit.REQUESTS, 3, Window.SECOND, "key:a"),
    Limit("7 requests/minute", Unit.REQUESTS, 7, Window.MINUTE, "team:t"),
    Limit("50 tokens/minute", Unit.TOKENS, 50, Window.MINUTE, "key:a"),
    Limit("20 requests/day", Unit.REQUESTS, 20, Window.DAY, "key:a"),
    Limit("$90/day", Unit.DOLLARS, 90, Window.DAY, "key:a"),
    Limit("$300/total", Unit.DOLLARS, 300, Window.TOTAL, "team:t"),
    Limit("3 concurrent", Unit.SLOTS, 3, None, "key:a"),
    Limit("shadow", Unit.TOKENS, 20, Window.HOUR, "team:t", shadow=True),
    Limit("nothing", Unit.TOKENS, 0, Window.MINUTE, "team:n"),
)
SIZES = {Unit.REQUESTS: 2, Unit.TOKENS: 40, Unit.DOLLARS: 60, Unit.SLOTS: 2}

# What every request that costs money claims: its level is what the ledger has to add up to.
BILL = Limit("the bill", Unit.DOLLARS, 10**9, Window.TOTAL, "gateway")
WORST = 60
BILLED = Claim(BILL, WORST, held=True)

picks = st.integers(0, 15)  # of the holds: see `Histories.pick`
steps = st.sampled_from(("admit", "reserve"))
leases = st.sampled_from((1, 500, 30_000, LONGEST_LEASE))
times = st.sampled_from((1, 1, 2, 3))  # a command whose reply was lost is, to the store, a repeated one
tags = st.sampled_from(({}, {"project": "atlas"}, {"project": "atlas", "step": "draft"}))


@st.composite
def some_claims(draw: st.DrawFn) -> list[Claim]:
    chosen = draw(st.lists(st.sampled_from(LIMITS[:-1]), max_size=4, unique=True))
    if draw(st.integers(0, 19)) == 0:
        chosen.append(LIMITS[-1])
    sizes = [draw(st.integers(0, SIZES[limit.unit])) for limit in chosen]
    return [
        Claim(limit, size, limit.unit is not Unit.REQUESTS) for limit, size in zip(chosen, sizes, strict=True)
    ]


class Histories(RuleBasedStateMachine):
    """One history: the same calls to the store and to the model."""

    def __init__(self, server: Server | Cluster, store: RedisStore, runner: asyncio.Runner) -> None:
        super().__init__()
        assert server.tell("FLUSHALL") == b"+OK"
        self.server = server
        self.store = store
        self.wait = runner.get_loop().run_until_complete
        self.model = Model()
        self.asked: dict[tuple[str, str], Sequence[Claim]] = {}
        self.leased: dict[str, Row] = {}
        self.spent: Counter[str] = Counter()
        self.born = 0
        self.orphans: set[str] = set()  # holds whose requests go on after the store lost them
        self.earlier = (0, "")  # the last row that was lost with the store
        self.paid = 0  # what the lost rows add up to
        self.names = 0
        self.now = NOW - NOW % DAY + DAY - 90_000  # a minute and a half before midnight
        self._name()

    def _name(self) -> None:
        self.names += 1
        name = f"epoch-{self.names}"
        assert self.wait(self.store.epoch(name)) == name
        self.store.expect(name)
        self.model.epoch = self.model.expected = name
        assert self.wait(self.store.answers.put(KEPT, ENTRY, 1000 * DAY, NOW))

    def same(self, call: Awaitable[T], expected: Callable[[], T]) -> T | None:
        """What both answer. None: both say that this is not the store they expect."""
        try:
            answer = self.wait(call)
        except StoreReset:
            assert self.model.reset
            return None
        assert answer == expected()
        return answer

    def pick(self, number: int, fresh: int) -> str:
        """The first `fresh` picks are new holds, the last is one that ended, the others go on."""
        kept = self.model.holds.items()
        going = [*self.orphans, *(hold for hold, each in kept if each.phase != "ended")]
        ended = [hold for hold, each in kept if each.phase == "ended"]
        if number == 15 and ended:
            return ended[-1]
        if number >= fresh and going:
            return sorted(set(going))[number % len(set(going))]
        self.born += 1
        return f"hold-{self.born:02}"

    def is_billed(self, hold: str) -> bool:
        kept = self.model.holds.get(hold)
        return kept is not None and any(taken.claim.limit == BILL for taken in kept.taken)

    # What gateways do

    @rule(pick=picks, step=steps, claims=some_claims(), lease=leases, times=times)
    def reserve(self, pick: int, step: str, claims: list[Claim], lease: int, times: int) -> None:
        hold = self.pick(pick, fresh=8)
        kept = self.model.holds.get(hold)
        if kept and step in kept.answers:
            claims = list(self.asked[hold, step])
        elif step == "reserve" and not (kept and kept.phase == "dispatched"):
            claims = [*claims, BILLED]
        for _ in range(times):
            verdict = self.same(
                self.store.holds.reserve(TEAM, hold, step, claims, self.now, lease),
                lambda: self.model.reserve(hold, step, claims, self.now, lease),
            )
            if verdict is not None:
                self._is_sound(verdict, claims)
        self.asked[hold, step] = claims

    @precondition(lambda self: self.store.holds.can_enter)
    @rule(
        pick=picks,
        admit=some_claims(),
        answer=some_claims(),
        lease=leases,
        tags=tags,
        kept=st.sampled_from((False, False, True)),
        times=times,
    )
    def enter(
        self,
        pick: int,
        admit: list[Claim],
        answer: list[Claim],
        lease: int,
        tags: Mapping[str, str],
        kept: bool,
        times: int,
    ) -> None:
        """The same enters, all in one turn of the loop."""
        hold = self.pick(pick, fresh=10)
        before = self.model.holds.get(hold)
        billed = not (before and before.phase == "dispatched")
        if self._knows(hold, "admit"):
            admit = list(self.asked[hold, "admit"])
        if self._knows(hold, "reserve"):
            answer = list(self.asked[hold, "reserve"])
        elif billed:
            answer = [*answer, BILLED]
        told = row(hold, WORST if BILLED in answer or self.is_billed(hold) else 0, self.now, tags=tags)
        given = record(msgspec.structs.replace(told, key=_key(hold)))
        key = KEPT if kept else b"none"
        calls = [
            self.store.holds.enter(TEAM, hold, admit, answer, self.now, lease, key=key, record=given)
            for _ in range(times)
        ]
        entry = ENTRY if kept and not self.model.reset else None
        answers = self.wait(_gathered(calls))
        for each in answers:
            if isinstance(each, StoreReset):
                assert self.model.reset
                continue
            assert each == self.model.enter(hold, admit, answer, self.now, lease, entry, given)
            self._is_sound(each.admitted, admit)
            if each.reserved is not None:
                self._is_sound(each.reserved, answer)
        if self._knows(hold, "admit"):
            self.asked[hold, "admit"] = admit
        if self._knows(hold, "reserve"):
            self.asked[hold, "reserve"] = answer
            self.leased[hold] = decode(given.row)

    def _knows(self, hold: str, step: str) -> bool:
        kept = self.model.holds.get(hold)
        return kept is not None and step in kept.answers

    def _is_sound(self, verdict: Verdict, claims: Sequence[Claim]) -> None:
        """Settled and held, never more than the limit; refused, only where something does not fit."""
        enforced = [standing for standing in verdict.standings if not standing.limit.shadow]
        if verdict.admitted:
            assert all(standing.used <= standing.limit.amount for standing in enforced)
            assert len(verdict.standings) == len(claims)
        else:
            assert not verdict.standings or any(not standing.fits for standing in enforced)

    @rule(pick=picks, lease=leases, tags=tags, told=st.booleans())
    def dispatch(self, pick: int, lease: int, tags: Mapping[str, str], told: bool) -> None:
        hold = self.pick(pick, fresh=2)
        billed = self.is_billed(hold)
        given = None
        # A lease that costs something leaves a row.
        if told or billed:
            self.leased[hold] = row(hold, WORST * billed, self.now, key=_key(hold), tags=tags)
            given = record(self.leased[hold])
        self.store.holds.dispatch(TEAM, hold, self.now, lease, given)
        self.model.dispatch(hold, self.now, lease, given)

    @rule(
        pick=picks,
        tokens=st.integers(0, 80),
        dollars=st.integers(0, 120),
        claims=st.none() | some_claims(),
        ago=st.sampled_from((0, 100, DAY)),
        tags=tags,
        times=times,
    )
    def settle(
        self,
        pick: int,
        tokens: int,
        dollars: int,
        claims: list[Claim] | None,
        ago: int,
        tags: Mapping[str, str],
        times: int,
    ) -> None:
        hold = self.pick(pick, fresh=2)
        dollars = dollars if self.is_billed(hold) or claims is not None else 0
        given = [] if claims is None else [*claims, BILLED]
        spent: Mapping[Unit, int] = {Unit.TOKENS: tokens, Unit.DOLLARS: dollars}
        told, claimed = self._told(hold, dollars, tags), self.now - ago
        self._end(
            hold,
            dollars,
            times,
            lambda: self.store.holds.settle(
                TEAM, hold, spent, self.now, told, claims=given, claimed=claimed if given else None
            ),
            lambda: self.model.settle(hold, spent, self.now, told, given, claimed),
        )

    @rule(pick=picks, tags=tags, times=times)
    def release(self, pick: int, tags: Mapping[str, str], times: int) -> None:
        hold = self.pick(pick, fresh=2)
        told = self._told(hold, 0, tags)
        self._end(
            hold,
            0,
            times,
            lambda: self.store.holds.release(TEAM, hold, self.now, told),
            lambda: self.model.release(hold, self.now, told),
        )

    def _told(self, hold: str, cost: int, tags: Mapping[str, str]) -> Record:
        return record(row(hold, cost, self.now, key=_key(hold), tags=tags), self.leased.get(hold))

    def _end(
        self,
        hold: str,
        cost: int,
        times: int,
        call: Callable[[], Awaitable[Ended]],
        expected: Callable[[], Ended],
    ) -> None:
        """Once for each hold, however often it is told."""
        answers = [self.same(call(), expected) for _ in range(times)]
        assert not any(answers[1:])
        if answers[0]:
            self.spent[hold] = cost
            self.orphans.discard(hold)

    @rule(some=st.lists(picks, min_size=1, max_size=4), lease=leases)
    def renew(self, some: Sequence[int], lease: int) -> None:
        holds = sorted({self.pick(number, fresh=1) for number in some})
        self.same(
            self.store.holds.renew(TEAM, holds, self.now, lease),
            lambda: self.model.renew(holds, self.now, lease),
        )

    @rule()
    def expire(self) -> None:
        self.same(self.store.holds.expire(self.now), lambda: self.model.expire(self.now))

    @rule(ms=st.sampled_from((1, 37, 333, 1_000, 20_000, 60_000, 90_000, DAY, -1, -700, -40_000)))
    def pass_time(self, ms: int) -> None:
        self.now += ms

    # What goes wrong

    @precondition(lambda self: not self.model.reset)
    @rule()
    def crash(self) -> None:
        """Nobody renews any more: when the leases have passed, nothing is held."""
        self.now = max(self.now, *self.model.leases(), self.now)
        self.expire()
        assert self.wait(self.store.holds.expire(self.now)) == []
        bill, *standings = self.wait(self.store.holds.standings(TEAM, (BILL, *LIMITS), self.now))
        assert bill.used == self.model.level(BILL, self.now)
        assert all(standing.used == 0 for standing in standings if standing.limit.kind is Kind.CONCURRENCY)

    @precondition(lambda self: not self.model.reset)
    @rule(chance=st.integers(0, 4))
    def lose_everything(self, chance: int) -> None:
        if chance:
            return
        # A caller whose request has left a row finds it in the sink, and does not settle again.
        left = {decode(row).id for row in self.model.rows}
        going = {hold for hold, kept in self.model.holds.items() if kept.phase != "ended"}
        self.orphans = (self.orphans | going) - left
        self.earlier, self.paid = self.wait(self.store.ledger.head()), self._billed()
        budgets = [limit for limit in (BILL, *LIMITS) if limit.kind is Kind.BUDGET]
        self.known = [(limit, self.model.level(limit, self.now)) for limit in budgets]
        self.lost_at = self.now
        assert self.server.tell("FLUSHALL") == b"+OK"
        self.model.flush()
        assert self.model.reset

    @precondition(lambda self: self.model.reset)
    @rule()
    def recover(self) -> None:
        """Budgets first, then the name: nobody is admitted in between."""
        self.wait(self.store.holds.restore(TEAM, self.known, self.lost_at))
        self.model.restore(self.known, self.lost_at)
        self.wait(self.store.ledger.continue_at(*self.earlier))
        self._name()
        assert self.wait(self.store.ledger.head()) == self.earlier

    # What always holds

    @invariant()
    def limits_stand_where_the_models_stand(self) -> None:
        limits = (*LIMITS, BILL)
        standings = self.wait(self.store.holds.standings(TEAM, limits, self.now))
        assert standings == self.model.standings(limits, self.now)

    @invariant()
    def the_ledger_is_the_models_and_its_chain_is_whole(self) -> None:
        kept = self.wait(self.store.ledger.oldest(None, 1000))
        assert [each.row for each in kept] == self.model.rows
        assert_chain(kept, *(self.earlier if self.model.rows else (0, "")))
        for key in "ab":
            assert self.wait(self.store.ledger.recent(key, 20)) == self.model.recent.get(key, [])[:20]
        days = sorted({day for day, _ in (*self.model.sums, *self.model.tag_sums)})
        for found, expected in (
            (self.wait(self.store.ledger.sums(days)), self.model.sums),
            (self.wait(self.store.ledger.tag_sums(days)), self.model.tag_sums),
        ):
            assert {(each.day, each.who): each.sums for each in found} == expected

    @invariant()
    def the_ledger_is_its_sums_is_the_bill(self) -> None:
        position = SUMS.index("cost")
        assert sum(sums[position] for sums in self.model.sums.values()) + self.paid == self._billed()
        if not self.model.reset:
            assert self.model.level(BILL, self.now) == self._billed()

    def _billed(self) -> int:
        return self.paid + sum(decode(row).cost or 0 for row in self.model.rows)

    @invariant()
    def each_request_is_counted_once_and_charged_what_it_may_be(self) -> None:
        charged: Counter[str] = Counter()
        counted: Counter[str] = Counter()
        for each in map(decode, self.model.rows):
            charged[each.id] += each.cost or 0
            counted[each.id] += not each.correction
        assert set(counted.values()) <= {1}
        for hold, amount in charged.items():
            assert 0 <= amount <= max(WORST, self.spent[hold])

    def teardown(self) -> None:
        if not self.model.reset:
            self.crash()


async def _gathered(calls: Sequence[Awaitable[T]]) -> "list[T | BaseException]":
    return await asyncio.gather(*calls, return_exceptions=True)


def _key(hold: str) -> str:
    """Two clients share what is tested."""
    return "ab"[int(hold[-1]) % 2]


@pytest.mark.timeout(1800)
def test_the_scripts_do_what_the_model_does(running: Server | Cluster) -> None:
    with asyncio.Runner() as runner:
        spawn = Spawned()
        store = runner.run(open_store(running.url, deadline=5, timezone="UTC", max_memory=2**20, spawn=spawn))
        try:
            run_state_machine_as_test(
                lambda: Histories(running, store, runner),  # type: ignore[arg-type]
                settings=settings(
                    max_examples=PROOF,
                    stateful_step_count=50,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(store.close())
