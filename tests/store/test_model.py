"""The scripts and the plain model do the same, whatever comes in whatever order, repeated or late.

`GATEWAY_PROOF` tries two thousand histories instead of a few.
"""

import asyncio
import os
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.policy.records import Claim, Limit, Unit, Window
from gateway.store.redis import RedisStore, open_store
from tests.store.model import DAY, Model
from tests.store.servers import NOW, Server, Spawned

PROOF = 2000 if os.environ.get("GATEWAY_PROOF") else 60
TEAM = "research"
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

holds = st.integers(0, 7).map(lambda number: f"hold-{number}")
leases = st.sampled_from((1, 500, 30_000, 120_000))


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

    def __init__(self, server: Server, store: RedisStore, runner: asyncio.Runner) -> None:
        super().__init__()
        assert server.tell("FLUSHALL") == b"+OK"
        self.store = store.holds
        self.model = Model()
        self.asked: dict[tuple[str, str], Sequence[Claim]] = {}
        self.run = runner.get_loop().run_until_complete
        self.now = NOW - NOW % DAY + DAY - 90_000  # a minute and a half before midnight

    def wait(self, work: Awaitable[T]) -> T:
        return self.run(work)

    @rule(hold=holds, step=st.sampled_from(("admit", "reserve")), claims=some_claims(), lease=leases)
    def reserve(self, hold: str, step: str, claims: Sequence[Claim], lease: int) -> None:
        kept = self.model.holds.get(hold)
        if kept and step in kept.answers:
            claims = self.asked[hold, step]
        verdict = self.wait(self.store.reserve(TEAM, hold, step, claims, self.now, lease))
        assert verdict == self.model.reserve(hold, step, claims, self.now, lease)
        self.asked[hold, step] = claims

    @rule(hold=holds)
    def dispatch(self, hold: str) -> None:
        self.store.dispatch(TEAM, hold)
        self.model.dispatch(hold)

    @rule(hold=holds, tokens=st.integers(0, 80), dollars=st.integers(0, 120))
    def settle(self, hold: str, tokens: int, dollars: int) -> None:
        spent: Mapping[Unit, int] = {Unit.TOKENS: tokens, Unit.DOLLARS: dollars}
        ended = self.wait(self.store.settle(TEAM, hold, spent, self.now))
        assert ended == self.model.settle(hold, spent, self.now)

    @rule(hold=holds)
    def release(self, hold: str) -> None:
        ended = self.wait(self.store.release(TEAM, hold, self.now))
        assert ended == self.model.release(hold, self.now)

    @rule(some=st.lists(holds, max_size=4, unique=True), lease=leases)
    def renew(self, some: Sequence[str], lease: int) -> None:
        renewed = self.wait(self.store.renew(TEAM, some, self.now, lease))
        assert renewed == self.model.renew(some, self.now, lease)

    @rule()
    def expire(self) -> None:
        assert self.wait(self.store.expire(self.now)) == self.model.expire(self.now)

    @rule(ms=st.sampled_from((1, 37, 333, 1_000, 20_000, 60_000, 90_000, DAY, -1, -700, -40_000)))
    def pass_time(self, ms: int) -> None:
        self.now += ms

    @invariant()
    def stand_where_the_model_stands(self) -> None:
        standings = self.wait(self.store.standings(TEAM, LIMITS, self.now))
        assert standings == self.model.standings(LIMITS, self.now)


def test_the_scripts_do_what_the_model_does(running: Server) -> None:
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
