"""Durations and sizes as people write them."""

import pytest

from gateway.settings import Duration, Settings, Size


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


def test_two_settings_share_nothing() -> None:
    one, two = Settings(), Settings()
    one.models.aliases["a"] = "b"
    assert two.models.aliases == {}
