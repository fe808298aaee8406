"""What the store last said, in bounded memory."""

import pytest

from gateway.away import readings
from gateway.away.readings import Readings
from gateway.policy.quota import parse_limit
from gateway.policy.records import Limit, Standing


def standing(limit: Limit, used: int) -> Standing:
    return Standing(limit, used, 0, 0)


def test_the_last_word_counts() -> None:
    said, limit = Readings(), parse_limit("$5/day", "key:a")
    said.note([standing(limit, 1)], 10, 0)
    said.note([standing(limit, 2)], 20, 1)
    assert said.of(limit) == (2, 20, 1)
    assert said.of(parse_limit("$5/day", "key:b")) is None


def test_the_last_word_is_corrected_and_never_falls_below_nothing() -> None:
    said, limit = Readings(), parse_limit("$5/day", "key:a")
    said.correct(limit, 5)
    assert said.of(limit) is None
    said.note([standing(limit, 10)], 20, 1)
    said.correct(limit, -4)
    assert said.of(limit) == (6, 20, 1)
    said.correct(limit, -7)
    assert said.of(limit) == (0, 20, 1)


def test_a_limit_in_shadow_mode_does_not_speak_for_the_enforced_one() -> None:
    said, limit = Readings(), parse_limit("$5/day", "key:a")
    said.note([standing(parse_limit({"limit": "$5/day", "mode": "shadow"}, "key:a"), 9)], 10, 0)
    assert said.of(limit) is None


def test_the_longest_known_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "MOST", 3)
    said = Readings()
    limits = [parse_limit("$5/day", f"key:{n}") for n in range(5)]
    said.note([standing(limit, 1) for limit in limits], 10, 0)
    assert [said.of(limit) is not None for limit in limits] == [False, False, True, True, True]
