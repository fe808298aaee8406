from prometheus_client import CollectorRegistry

from gateway.observability.usedlimits import UsedLimits
from gateway.policy.records import Limit, Standing, Unit, Window


class Hands:
    """A clock that tests move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def standing(scope: str, used: int, reset_ms: int = 0, amount: int = 60) -> Standing:
    limit = Limit(f"{amount} requests/minute", Unit.REQUESTS, amount, Window.MINUTE, scope)
    return Standing(limit, used, 0, reset_ms)


def shown(limits: UsedLimits) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(limits)
    (metric,) = registry.collect()
    return {sample.labels["key"]: sample.value for sample in metric.samples}


def test_shows_the_latest_share_by_owner() -> None:
    limits = UsedLimits(Hands())
    limits.meet([standing("key:ab", 6), standing("team:research", 30), standing("gateway", 60)], 0.0)
    limits.meet([standing("key:ab", 15)], 0.0)
    assert shown(limits) == {"ab": 0.25, "team:research": 0.5, "gateway": 1.0}


def test_forgets_a_limit_that_is_back_to_full() -> None:
    clock = Hands()
    limits = UsedLimits(clock, memory=60.0)
    limits.meet([standing("key:busy", 60, reset_ms=3_600_000), standing("key:idle", 1, reset_ms=1_000)], 0.0)
    clock.now = 59.0
    assert set(shown(limits)) == {"busy", "idle"}
    clock.now = 61.0
    assert set(shown(limits)) == {"busy"}
    clock.now = 3601.0
    assert shown(limits) == {}


def test_keeps_the_latest_when_there_are_too_many() -> None:
    limits = UsedLimits(Hands(), most=3)
    for name in ("first", "second", "third", "first", "fourth"):
        limits.meet([standing(f"key:{name}", 1)], 0.0)
    assert set(shown(limits)) == {"first", "third", "fourth"}
    limits.meet([standing(f"key:{number}", 1) for number in range(1000)], 0.0)
    assert len(limits) == 3


def test_a_limit_of_nothing_is_used_up() -> None:
    limits = UsedLimits(Hands())
    limits.meet([standing("key:ab", 0, amount=0)], 0.0)
    assert shown(limits) == {"ab": 1.0}
