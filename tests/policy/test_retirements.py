"""The table itself: its facts agree with each other."""

import pytest

from gateway.policy import retirements
from gateway.policy.models import KNOWN
from gateway.policy.retirements import TABLE, TUNED, Retired, midnight

ENTRIES = [*TABLE.values(), *TUNED.values()]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_end_is_announced_before_it_comes(entry: Retired) -> None:
    assert entry.announced is None or entry.announced < entry.shutdown
    assert entry.shutdown % 86_400_000 == 0
    assert entry.replacement not in (entry.name, "")


def test_no_name_stands_in_two_rows() -> None:
    named = [name for *_, names in retirements._ROWS for name in names.split()]
    assert sorted(named) == sorted(TABLE)


def test_a_day_begins_at_midnight_utc() -> None:
    assert midnight("1970-01-02") == 86_400_000
    assert midnight("2024-01-04") == 1_704_326_400_000
    for nonsense in ("", "soon", "2026-13-01", "2026-10-23T00:00:00Z"):
        with pytest.raises(ValueError, match=r".*"):
            midnight(nonsense)


def test_no_model_is_retired_by_a_pattern_that_was_meant_for_its_ancestors() -> None:
    alive = {
        "gpt-realtime-2.1",
        "gpt-realtime-2.1-mini",
        "gpt-audio-1.5",
        "gpt-image-2",
        "gpt-5.6-sol",
        "gpt-5.6-luna",
    }
    alive |= {
        "gpt-6-luna",
        "text-embedding-3-small",
        "text-embedding-ada-002",
        "omni-moderation-latest",
        "gpt-5.5",
    }
    assert not alive & TABLE.keys()
    assert {"gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna"} <= KNOWN
