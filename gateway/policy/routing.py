"""Which upstreams serve a model, in the order in which they are to be tried."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.policy.patterns import matches


@dataclass(frozen=True, slots=True)
class Route:
    """One upstream, as routing sees it. `models` are patterns."""

    name: str
    models: tuple[str, ...] = ("*",)
    priority: int = 0
    weight: int = 1


def plan(upstreams: Sequence[Route], model: str | None) -> tuple[str, ...]:
    """Names, best first: the lowest priority, then the greatest weight, then as configured.

    Empty: nobody serves this model. A request that names no model goes to any.
    """
    serving = [route for route in upstreams if model is None or matches(route.models, model)]
    return tuple(route.name for route in sorted(serving, key=lambda route: (route.priority, -route.weight)))
