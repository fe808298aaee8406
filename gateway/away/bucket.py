"""This process's share of one limit, and what it has admitted of it."""

from dataclasses import dataclass, replace

from gateway.policy.records import Limit, Standing
from gateway.policy.windows import UNKNOWN_MS, Reading, meter_of, standing


@dataclass(slots=True)
class Bucket:
    """`share` is the limit with the share as its amount; `level` is scaled as `policy.windows.Meter` says.

    `window` names the calendar window of a budget. `generation` tells which stay of the store it is based on.
    """

    share: Limit
    at: int
    level: int = 0
    held: int = 0
    window: str = ""
    generation: int = 0

    @classmethod
    def of(cls, limit: Limit, amount: int, at: int) -> "Bucket":
        return cls(replace(limit, amount=amount), at)

    def resize(self, amount: int) -> None:
        if amount != self.share.amount:
            self.share = replace(self.share, amount=amount)

    @property
    def stay(self) -> tuple[int, str]:
        """What is charged now stays until this changes, or leaks."""
        return self.generation, self.window

    def begin_again(self, now: int, window: str, generation: int) -> None:
        """Nothing is charged any more. What is held is still."""
        self.level, self.window, self.generation = 0, window, generation
        self.at = max(self.at, now)

    def reading(self, now: int) -> Reading:
        leaked = meter_of(self.share).leak * max(0, now - self.at)
        return Reading(max(0, self.level - leaked), self.held, max(0, self.at - now))

    def start_from(self, used: int, now: int) -> None:
        """At least so much is charged now."""
        self.level = max(self.reading(now).level, used * meter_of(self.share).scale)
        self.at = max(self.at, now)

    def charge(self, amount: int, now: int) -> None:
        self.level = self.reading(now).level + amount * meter_of(self.share).scale
        self.at = max(self.at, now)

    def give_back(self, amount: int, charged: int, now: int) -> None:
        """What was charged at `charged`, but for what may have leaked since: that is gone already."""
        meter = meter_of(self.share)
        self.charge(0, now)
        left = amount * meter.scale - meter.leak * max(0, self.at - charged)
        self.level = max(0, self.level - max(0, left))

    def standing(self, limit: Limit, asked: int, now: int, left: int | None, *, admitted: bool) -> Standing:
        """Where the client's own `limit` stands: what remains of it is what remains of the share.

        A claim that the share can never hold is told to ask again soon: the store may be back by then.
        """
        local = standing(self.share, asked, self.reading(now), left, admitted)
        retry = local.retry_ms
        if retry < 0 and asked <= limit.amount:
            retry = UNKNOWN_MS
        return Standing(limit, limit.amount - min(limit.amount, local.remaining), retry, local.reset_ms)
