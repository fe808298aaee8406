"""What this process may still admit while the store does not answer: its share of each limit, and no more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.away.bucket import Bucket
from gateway.away.readings import MOST, Readings
from gateway.policy.records import Claim, Kind, Limit, Standing, Unit, Verdict
from gateway.policy.windows import Calendar
from gateway.settings import Away


class Taken(NamedTuple):
    """One claim as it was taken. `stay` is where the bucket's charges then began."""

    bucket: Bucket
    unit: Unit
    amount: int
    held: bool
    at: int
    stay: tuple[int, str]


@dataclass(slots=True)
class Admitted:
    """What one hold has of the shares, and what its steps were answered."""

    taken: list[Taken] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)


class LocalShare:
    """`timezone` is the one that calendar budgets follow.

    A share is the limit's amount divided by `away.replicas`, rounded down: of a rate as a leaky bucket over
    the limit's own window, of a concurrency limit as slots among this process's own requests. Of a budget it
    is that part of what was left when the store last spoke of it, and nothing where it never did. Limits in
    shadow mode refuse nobody, so they are left out; the store counts them when it hears of the request.
    """

    def __init__(self, settings: Away, timezone: str = "UTC") -> None:
        self._settings = settings
        self._calendar = Calendar(timezone)
        self._readings = Readings()
        self._slots: dict[str, list[Claim]] = {}
        self._reserved: dict[str, list[tuple[Claim, int]]] = {}
        self._buckets: dict[str, Bucket] = {}
        self._places: dict[str, Bucket] = {}
        self._admitted: dict[str, Admitted] = {}
        self._generation = 0
        self._used = False

    def seen(self, standings: Sequence[Standing], now: int) -> None:
        """The store has spoken."""
        self._readings.note(standings, now, self._generation)

    def took(self, hold: str, claims: Iterable[Claim]) -> None:
        """The store has admitted these claims, and `seen` says so.

        Their slots count among this process's own until the end.
        """
        self._keep_slots(hold, claims)
        for claim in claims:
            if claim.limit.kind is Kind.BUDGET and (seen := self._readings.of(claim.limit)) is not None:
                self._reserved.setdefault(hold, []).append((claim, seen.at))

    def _keep_slots(self, hold: str, claims: Iterable[Claim]) -> None:
        slots = [claim for claim in claims if claim.limit.window is None and not claim.limit.shadow]
        if not slots:
            return
        self._slots.setdefault(hold, []).extend(slots)
        if self._places:
            self._occupy(slots, 1)

    def reserve(self, hold: str, step: str, claims: Sequence[Claim], now: int) -> Verdict | None:
        """All of the claims or none, as `store.base.Holds.reserve`. None: only the store may decide this."""
        before = self._admitted.get(hold)
        if before is not None and step in before.verdicts:
            return before.verdicts[step]
        asked = [claim for claim in claims if not claim.limit.shadow]
        if any(self._choice(claim.limit) == "refuse" for claim in asked):
            return None
        buckets = [self._bucket(claim.limit, now) for claim in asked]
        found = [
            None if bucket is None else self._standing(claim, bucket, now)
            for claim, bucket in zip(asked, buckets, strict=True)
        ]
        standings = tuple(standing for standing in found if standing is not None)
        if len(standings) < len(asked):
            return None
        if not all(standing.fits for standing in standings):
            return Verdict(False, standings)
        return self._take(hold, step, asked, [bucket for bucket in buckets if bucket is not None], now)

    def settle(self, hold: str, spent: Mapping[Unit, int], now: int) -> None:
        """The request has ended, wherever it was admitted. A second end changes nothing."""
        for claim, at in self._reserved.pop(hold, ()):
            if claim.held:
                self._correct(claim.limit, at, spent.get(claim.limit.unit, 0) - claim.amount)
        for taken in self._end(hold):
            if taken.held:
                taken.bucket.held -= taken.amount
                taken.bucket.charge(spent.get(taken.unit, 0), now)

    def release(self, hold: str, now: int) -> None:
        """As `settle`, and nothing was done for it."""
        for claim, at in self._reserved.pop(hold, ()):
            self._correct(claim.limit, at, -claim.amount)
        for taken in self._end(hold):
            if taken.held:
                taken.bucket.held -= taken.amount
            elif taken.stay == taken.bucket.stay:
                taken.bucket.give_back(taken.amount, taken.at, now)

    def clear(self) -> None:
        """The store is back, and has been told of everything.

        What was admitted is not forgotten until the store has spoken of the limit again: a store that comes
        and goes gives nobody a share each time.
        """
        if self._used:
            self._used = False
            self._generation += 1
            self._places.clear()
            if len(self._buckets) > MOST:
                self._buckets = {name: bucket for name, bucket in self._buckets.items() if bucket.held}

    def heard(self) -> Iterable[tuple[str, str, int, int]]:
        """What the store last said of each limit, as `learn` takes it."""
        return self._readings.all()

    def learn(self, heard: Iterable[tuple[str, str, int, int]]) -> None:
        """What the store has said to other processes of this gateway: scope, text, used, and when (ms)."""
        for scope, text, used, at in heard:
            self._readings.take(scope, text, used, at, self._generation)

    def last_used(self, limit: Limit, now: int) -> int:
        """What was used of a budget in the window of `now`, as far as this process has heard."""
        seen = self._readings.of(limit)
        return seen.used if seen is not None and self._same_window(limit, seen.at, now) else 0

    def _correct(self, limit: Limit, at: int, change: int) -> None:
        """What was set aside at `at` has turned out to be more or less, and the store says so to nobody."""
        seen = self._readings.of(limit)
        if seen is not None and self._same_window(limit, seen.at, at):
            self._readings.correct(limit, change)

    def _choice(self, limit: Limit) -> str:
        if limit.unit is Unit.DOLLARS:
            return self._settings.money
        if limit.kind is Kind.BUDGET:
            return self._settings.budgets
        return self._settings.rates if limit.kind is Kind.RATE else self._settings.concurrency

    def _bucket(self, limit: Limit, now: int) -> Bucket | None:
        self._used = True
        if limit.kind is Kind.CONCURRENCY:
            return self._place(limit, now)
        return self._rate(limit, now) if limit.kind is Kind.RATE else self._budget(limit, now)

    def _place(self, limit: Limit, now: int) -> Bucket:
        place = self._places.get(limit.id)
        if place is None:
            place = self._places[limit.id] = Bucket.of(limit, 0, now)
            own = (claim for claims in self._slots.values() for claim in claims)
            place.held = sum(claim.amount for claim in own if claim.limit.id == limit.id)
        place.resize(limit.amount // self._settings.replicas)
        return place

    def _rate(self, limit: Limit, now: int) -> Bucket:
        replicas = self._settings.replicas
        seen = self._readings.of(limit)
        bucket = self._buckets.get(limit.id)
        if bucket is None:
            bucket = self._buckets[limit.id] = Bucket.of(limit, 0, now if seen is None else seen.at)
            bucket.generation = -1
        bucket.resize(limit.amount // replicas)
        if seen is not None and bucket.generation < seen.generation:
            bucket.start_from(-(-seen.used // replicas), seen.at)
            bucket.generation = seen.generation
        return bucket

    def _budget(self, limit: Limit, now: int) -> Bucket | None:
        seen = self._readings.of(limit)
        if seen is None:
            return None
        bucket = self._buckets.get(limit.id)
        if bucket is None:
            bucket = self._buckets[limit.id] = Bucket.of(limit, 0, now)
            bucket.generation = -1
        window = self._window(limit, now)
        if bucket.generation < seen.generation or (bucket.window != window and now > bucket.at):
            used = seen.used if self._same_window(limit, seen.at, now) else 0
            bucket.resize(max(0, limit.amount - used) // self._settings.replicas)
            bucket.begin_again(now, window, seen.generation)
        return bucket

    def _standing(self, claim: Claim, bucket: Bucket, now: int, *, admitted: bool = False) -> Standing | None:
        limit = claim.limit
        if limit.kind is not Kind.BUDGET or limit.window is None:
            return bucket.standing(limit, claim.amount, now, None, admitted=admitted)
        end = self._calendar.span(limit.window, now).end
        left = None if end is None else end - now
        standing = bucket.standing(limit, claim.amount, now, left, admitted=admitted)
        if standing.fits or admitted:
            return standing
        # Whether it is used up, or only our share of it is: the second is not for us to say.
        used = self.last_used(limit, now) + bucket.level + bucket.held
        if used + claim.amount <= limit.amount:
            return None
        retry = -1 if left is None or claim.amount > limit.amount else left
        return Standing(limit, used, retry, standing.reset_ms)

    def _take(
        self, hold: str, step: str, claims: Sequence[Claim], buckets: Sequence[Bucket], now: int
    ) -> Verdict:
        pairs = list(zip(claims, buckets, strict=True))
        told = (self._standing(claim, bucket, now, admitted=True) for claim, bucket in pairs)
        verdict = Verdict(True, tuple(standing for standing in told if standing is not None))
        admitted = self._admitted.setdefault(hold, Admitted())
        admitted.verdicts[step] = verdict
        for claim, bucket in pairs:
            if claim.limit.kind is Kind.CONCURRENCY:
                continue
            taken = Taken(bucket, claim.limit.unit, claim.amount, claim.held, now, bucket.stay)
            admitted.taken.append(taken)
            if claim.held:
                bucket.held += claim.amount
            else:
                bucket.charge(claim.amount, now)
        self._keep_slots(hold, claims)
        return verdict

    def _end(self, hold: str) -> list[Taken]:
        slots = self._slots.pop(hold, None)
        if slots is not None and self._places:
            self._occupy(slots, -1)
        admitted = self._admitted.pop(hold, None)
        return [] if admitted is None else admitted.taken

    def _occupy(self, slots: Iterable[Claim], sign: int) -> None:
        for claim in slots:
            place = self._places.get(claim.limit.id)
            if place is not None:
                place.held += sign * claim.amount

    def _window(self, limit: Limit, now: int) -> str:
        return "" if limit.window is None else self._calendar.span(limit.window, now).id

    def _same_window(self, limit: Limit, then: int, now: int) -> bool:
        return self._window(limit, then) == self._window(limit, now)

    def __repr__(self) -> str:
        return f"<LocalShare 1/{self._settings.replicas}, {len(self._admitted)} holds>"
