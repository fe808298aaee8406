import pytest

from gateway.policy.routing import Route, plan

ROUTES = [
    Route("backup", priority=1, weight=100),
    Route("small", ("gpt-*",), weight=1),
    Route("large", ("gpt-*", "o3*"), weight=5),
    Route("twin", ("gpt-*",), weight=5),
]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", ("large", "twin", "small", "backup")),
        ("o3-mini", ("large", "backup")),
        ("llama", ("backup",)),
        (None, ("large", "twin", "small", "backup")),
    ],
)
def test_priority_then_weight_then_order(model: str | None, expected: tuple[str, ...]) -> None:
    assert plan(ROUTES, model) == expected


def test_nobody_serves_it() -> None:
    assert plan(ROUTES[1:], "llama") == ()
    assert plan([], None) == ()
