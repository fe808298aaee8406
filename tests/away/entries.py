"""What the tests of this room note, charge and look for."""

from gateway.away.frames import Pending
from gateway.policy.ledger import Row, record_of
from gateway.policy.quota import parse_limit
from gateway.policy.records import Claim, Record, Unit
from tests.store.servers import NOW

TEAM = "research"
BUDGET = parse_limit("100k tokens/day", "team:research")
RATE = parse_limit("1000 requests/minute", "team:research")
LEASE = 30_000


def claims(tokens: int = 900) -> tuple[Claim, ...]:
    return Claim(RATE, 1, held=False), Claim(BUDGET, tokens, held=True)


def record(hold: str, tokens: int, settled: str = "usage", at: int = NOW) -> Record:
    row = Row(
        id=hold, time=at, key="alice", endpoint="chat", team=TEAM, model="gpt-4o", input=tokens,
        settled=settled,  # type: ignore[arg-type]
    )  # fmt: skip
    lease = Row(id=hold, time=at, key="alice", endpoint="chat", team=TEAM, model="gpt-4o", input=900)
    return record_of(row, "2026-09-21", "gpt-4o", None if settled == "lease" else (lease, "gpt-4o"))


def pending(hold: str, tokens: int = 10, at: int = NOW, *, dispatched: bool = False) -> Pending:
    settled = "lease" if dispatched else "usage"
    return Pending(
        shard=TEAM,
        hold=hold,
        at=at,
        spent=None if dispatched else {Unit.TOKENS: tokens},
        record=record(hold, 900 if dispatched else tokens, settled, at),
        claims=claims(),
        claimed=at,
        dispatched=dispatched,
    )
