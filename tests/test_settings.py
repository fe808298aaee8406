"""Durations and sizes as people write them."""

import pytest

from gateway.settings import Dollars, Duration, Factor, Settings, Size


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("30s", 30), ("1.5m", 90), ("24h", 86400), ("7d", 604800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds
    assert Duration.parse(text).ms == round(seconds * 1000)


@pytest.mark.parametrize(
    ("text", "size"), [("64KiB", 65536), ("1.5MB", 1_500_000), ("1GiB", 2**30), ("7B", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert Size.parse(text) == size


@pytest.mark.parametrize("text", ["", "5", "5 s", "-5s", "s", "5y", 5, None, "1e3s"])
def test_anything_else_is_told_what_to_write(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        Duration.parse(text)
    with pytest.raises(ValueError, match="expected a size such as"):
        Size.parse(text)


@pytest.mark.parametrize(
    ("number", "nano"),
    [(0.1, 10**8), (2, 2 * 10**9), (0.000000001, 1), (75.0, 75 * 10**9), (-0.5, -5 * 10**8)],
)
def test_dollars_are_exactly_what_is_written(number: float, nano: int) -> None:
    assert Dollars.parse(number) == nano


def test_factors_are_exactly_what_is_written() -> None:
    assert (Factor.parse(1.75), Factor.parse(2), Factor.parse(0.000001)) == (1_750_000, 2_000_000, 1)


@pytest.mark.parametrize("number", [True, "1", None, 1e-10, float("nan"), float("inf")])
def test_what_is_no_exact_number_is_refused(number: object) -> None:
    with pytest.raises(ValueError):
        Dollars.parse(number)


def test_two_settings_share_nothing() -> None:
    one, two = Settings(), Settings()
    one.models.aliases["a"] = "b"
    assert two.models.aliases == {}
