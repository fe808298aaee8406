"""What holds and their ledger mean, in plain Python and fractions: what the scripts are compared with.

Written from the contract, not from the scripts: no scaled integers, no windows.py, no hashes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from gateway.errors import StoreReset
from gateway.policy.records import Claim, Kind, Limit, Record, Standing, Unit, Verdict, Window
from gateway.store.base import Ended, Entered

PERIODS = {Window.SECOND: 1_000, Window.MINUTE: 60_000, Window.HOUR: 3_600_000}
DAY = 86_400_000
ASK_AGAIN = 1_000


@dataclass
class Counter:
    """Charged and leaking, and held."""

    at: int
    level: Fraction = Fraction(0)
    held: int = 0


@dataclass
class Taken:
    claim: Claim
    counter: str
    still_held: bool = False
    charged: int = 0
    charged_at: int = 0


@dataclass
class Hold:
    phase: str = "reserved"
    lease: int = 0
    answers: dict[str, tuple[bool, tuple[tuple[Fraction, int, int], ...]]] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    record: Record | None = None
    left_a_row: bool = False

    @property
    def open(self) -> bool:
        return self.phase in ("reserved", "dispatched")


Sums = dict[tuple[str, str], tuple[int, ...]]


class Model:
    """`base.Holds` and `base.Ledger` without a store. The calendar is UTC's, budgets are daily or total."""

    def __init__(self) -> None:
        self.expected = ""
        self.flush()

    def flush(self) -> None:
        """Everything is lost, except what the gateway knows: whom it expects."""
        self.epoch = ""
        self.counters: dict[str, Counter] = {}
        self.slots: dict[str, dict[tuple[str, int, int], int]] = {}
        self.holds: dict[str, Hold] = {}
        self.rows: list[bytes] = []
        self.recent: dict[str, list[bytes]] = {}
        self.sums: Sums = {}
        self.tag_sums: Sums = {}

    @property
    def reset(self) -> bool:
        return self.expected not in ("", self.epoch)

    def _check(self) -> None:
        if self.reset:
            raise StoreReset("another store than expected")

    def reserve(self, hold: str, step: str, claims: Sequence[Claim], now: int, lease: int) -> Verdict:
        self._check()
        kept = self.holds.get(hold)
        if kept and not (kept.open and kept.lease > now):
            return Verdict(False)
        if kept and step in kept.answers:
            return self._verdict(claims, *kept.answers[step], now)
        readings = tuple(self._read(claim.limit, now) for claim in claims)
        fits = all(
            claim.limit.shadow or level + held + claim.amount <= claim.limit.amount
            for claim, (level, held, _) in zip(claims, readings, strict=True)
        )
        if fits:
            kept = self.holds.setdefault(hold, Hold())
            kept.answers[step] = (True, readings)
            self._extend(hold, max(now + lease, kept.lease))
            for claim in claims:
                self._take(hold, kept, claim, now)
        return self._verdict(claims, fits, readings, now)

    def enter(
        self,
        hold: str,
        admit: Sequence[Claim],
        answer: Sequence[Claim],
        now: int,
        lease: int,
        entry: bytes | None,
        record: Record | None,
    ) -> Entered:
        kept = self.holds.get(hold)
        answered = kept is not None and "reserve" in kept.answers
        admitted = self.reserve(hold, "admit", admit, now, lease)
        if not admitted.admitted or (entry is not None and not answered):
            return Entered(admitted, entry if admitted.admitted else None)
        reserved = self.reserve(hold, "reserve", answer, now, lease)
        if reserved.admitted:
            self.dispatch(hold, now, lease, record)
        return Entered(admitted, None, reserved)

    def dispatch(self, hold: str, now: int, lease: int, record: Record | None) -> None:
        if self.reset:
            return
        kept = self.holds.setdefault(hold, Hold(lease=now + lease))
        if kept.open:
            kept.phase = "dispatched"
            kept.record = record or kept.record

    def settle(
        self,
        hold: str,
        spent: Mapping[Unit, int],
        now: int,
        record: Record | None = None,
        claims: Sequence[Claim] = (),
        claimed: int = 0,
    ) -> Ended:
        def due(claim: Claim) -> int:
            return spent.get(claim.limit.unit, 0) if claim.held else claim.amount

        self._check()
        ended = self._end(hold, due, now, record)
        if not ended:
            return ended
        had = {taken.claim.limit.id for taken in self.holds[hold].taken}
        for claim in claims:
            if claim.limit.id not in had:
                self._charge(Taken(claim, self._key(claim.limit, claimed)), due(claim), now)
        return ended

    def release(self, hold: str, now: int, record: Record | None = None) -> Ended:
        self._check()
        return self._end(hold, lambda claim: 0, now, record)

    def renew(self, holds: Sequence[str], now: int, lease: int) -> int:
        self._check()
        mine = [hold for hold in holds if (kept := self.holds.get(hold)) and kept.open and kept.lease > now]
        for hold in mine:
            self._extend(hold, now + lease)
        return len(mine)

    def expire(self, now: int) -> list[bytes]:
        self._check()
        late = [hold for hold, kept in self.holds.items() if kept.open and kept.lease <= now]
        late.sort(key=lambda hold: (self.holds[hold].lease, hold))
        return [self._expire(hold, self.holds[hold], now) for hold in late]

    def _expire(self, hold: str, kept: Hold, now: int) -> bytes:
        full = kept.phase == "dispatched"
        for taken in kept.taken:
            self._charge(taken, taken.claim.amount if full else 0, now)
        self._vacate(hold)
        kept.phase, kept.left_a_row = "expired", kept.record is not None
        return self._write(kept.record, late=False)

    def restore(self, used: Sequence[tuple[Limit, int]], now: int) -> None:
        for limit, amount in used:
            if limit.kind is Kind.BUDGET:
                counter = self._touch(self._key(limit, now), limit, now)
                counter.level = max(counter.level, Fraction(amount))

    def level(self, limit: Limit, now: int) -> int:
        """What is settled of a budget."""
        return ceil(self._read(limit, now)[0])

    def leases(self) -> list[int]:
        return [kept.lease for kept in self.holds.values() if kept.open]

    def standings(self, limits: Sequence[Limit], now: int) -> tuple[Standing, ...]:
        claims = [Claim(limit, 0, held=True) for limit in limits]
        return self._verdict(claims, False, tuple(self._read(limit, now) for limit in limits), now).standings

    def _key(self, limit: Limit, now: int) -> str:
        return f"{limit.id}/{now // DAY}" if limit.window is Window.DAY else limit.id

    def _read(self, limit: Limit, now: int) -> tuple[Fraction, int, int]:
        """Level, held, and how far the counter's time is ahead of `now`."""
        if limit.kind is Kind.CONCURRENCY:
            places = self.slots.get(limit.id, {})
            return Fraction(sum(lease > now for lease in places.values())), 0, 0
        counter = self.counters.get(self._key(limit, now), Counter(now))
        leaked = _leak(limit) * max(0, now - counter.at)
        return max(Fraction(0), counter.level - leaked), counter.held, max(0, counter.at - now)

    def _take(self, hold: str, kept: Hold, claim: Claim, now: int) -> None:
        key = self._key(claim.limit, now)
        taken = Taken(claim, key)
        kept.taken.append(taken)
        if claim.limit.kind is Kind.CONCURRENCY:
            places = self.slots.setdefault(key, {})
            for place in [place for place, lease in places.items() if lease <= now]:
                del places[place]
            places |= {(hold, len(kept.taken), number): kept.lease for number in range(claim.amount)}
            return
        counter = self._touch(key, claim.limit, now)
        taken.charged_at = counter.at
        if claim.held:
            counter.held += claim.amount
            taken.still_held = True
        else:
            counter.level += claim.amount
            taken.charged = claim.amount

    def _touch(self, key: str, limit: Limit, now: int) -> Counter:
        counter = self.counters.setdefault(key, Counter(now))
        counter.level = max(Fraction(0), counter.level - _leak(limit) * max(0, now - counter.at))
        counter.at = max(counter.at, now)
        return counter

    def _charge(self, taken: Taken, target: int, now: int) -> None:
        if taken.claim.limit.kind is Kind.CONCURRENCY:
            return
        counter = self._touch(taken.counter, taken.claim.limit, now)
        if taken.still_held:
            counter.held -= taken.claim.amount
            taken.still_held = False
        change = Fraction(target - taken.charged)
        if change < 0:
            change = min(Fraction(0), change + _leak(taken.claim.limit) * (counter.at - taken.charged_at))
        counter.level = max(Fraction(0), counter.level + change)
        taken.charged, taken.charged_at = target, counter.at

    def _end(self, hold: str, due: Callable[[Claim], int], now: int, record: Record | None) -> Ended:
        kept = self.holds.setdefault(hold, Hold())
        if kept.phase == "ended":
            return Ended.NOT
        for taken in kept.taken:
            self._charge(taken, due(taken.claim), now)
        self._vacate(hold)
        self._write(record, kept.left_a_row)
        kept.phase = "ended"
        return Ended.LATE if kept.left_a_row else Ended.NOW

    def _write(self, record: Record | None, late: bool) -> bytes:
        row = b"" if record is None else record.late if late else record.row
        if record is None or not row:
            return b""
        self.rows.append(row)
        self.recent.setdefault(record.key, []).insert(0, row)
        added, who = (record.late_sums, record.late_who or record.who) if late else (record.sums, record.who)
        _add(self.sums, (record.day, who), added)
        for tag in record.tags:
            _add(self.tag_sums, (record.day, tag), added)
        return row

    def _vacate(self, hold: str) -> None:
        for places in self.slots.values():
            for place in [place for place in places if place[0] == hold]:
                del places[place]

    def _extend(self, hold: str, lease: int) -> None:
        self.holds[hold].lease = max(lease, self.holds[hold].lease)
        for places in self.slots.values():
            for place in places:
                if place[0] == hold:
                    places[place] = max(lease, places[place])

    def _verdict(
        self,
        claims: Sequence[Claim],
        admitted: bool,
        readings: Sequence[tuple[Fraction, int, int]],
        now: int,
    ) -> Verdict:
        pairs = zip(claims, readings, strict=True)
        return Verdict(admitted, tuple(_standing(claim, *reading, admitted, now) for claim, reading in pairs))


def _add(sums: Sums, name: tuple[str, str], added: tuple[int, ...]) -> None:
    kept = sums.get(name, (0,) * len(added))
    sums[name] = tuple(one + other for one, other in zip(kept, added, strict=True))


def _leak(limit: Limit) -> Fraction:
    """Units per millisecond."""
    if limit.kind is Kind.RATE and limit.window is not None:
        return Fraction(limit.amount, PERIODS[limit.window])
    return Fraction(0)


def _standing(claim: Claim, level: Fraction, held: int, ahead: int, admitted: bool, now: int) -> Standing:
    limit, leak = claim.limit, _leak(claim.limit)
    after = held + (claim.amount if admitted else 0)
    over = level + held + claim.amount - limit.amount
    window = DAY - now % DAY if limit.window is Window.DAY else -1
    retry = reset = {Kind.CONCURRENCY: ASK_AGAIN, Kind.BUDGET: window, Kind.RATE: -1}[limit.kind]
    if leak:
        reset = ahead + ceil((level + after) / leak)
        retry = ASK_AGAIN if held + claim.amount > limit.amount else ahead + ceil(over / leak)
    if claim.amount > limit.amount:
        retry = -1
    return Standing(
        limit,
        used=ceil(level) + after,
        retry_ms=0 if over <= 0 else retry,
        reset_ms=0 if level + after == 0 else reset,
    )
