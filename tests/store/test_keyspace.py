"""Names of keys: one slot per script, whatever a shard is called."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store import keyspace
from gateway.store.keyspace import Keyspace

TAG = re.compile(r"^gw:\{([^{}]+)\}:")


@settings(deadline=None)
@given(st.text(), st.integers(1, 64))
def test_a_shard_has_one_tag_of_the_known_ones(shard: str, tags: int) -> None:
    space = Keyspace(tags)
    base = space.base(shard)
    assert base in space.bases
    assert base == Keyspace(tags).base(shard)
    keys = (
        *(keyspace.leases(base), keyspace.holds(base) + "h", keyspace.limit(base, "0a", "day-1")),
        *(keyspace.epoch(base), keyspace.ledger(base), keyspace.head(base), keyspace.recent(base, shard)),
        *(keyspace.sums(base, "2026-09-21"), keyspace.tag_sums(base, "2026-09-21")),
    )
    assert len(set(keys)) == len(keys)
    assert len({match[1] for key in keys if (match := TAG.match(key))}) == 1


def test_shards_spread_over_the_tags() -> None:
    space = Keyspace(8)
    assert {space.base(f"team-{number}") for number in range(200)} == set(space.bases)


@pytest.mark.parametrize(
    "keys",
    [
        (keyspace.KEYS, keyspace.TEAMS, keyspace.SECRETS, keyspace.VERSION),
        (keyspace.ENTRY.decode(), keyspace.ANSWERS_INDEX, keyspace.ANSWERS_SIZES, keyspace.ANSWERS_TOTAL),
    ],
)
def test_what_one_script_touches_shares_a_slot(keys: tuple[str, ...]) -> None:
    assert len({match[1] for key in keys if (match := TAG.match(key))}) == 1


def test_the_counters_of_two_windows_are_two_keys() -> None:
    assert (
        keyspace.limit("b:", "0a", "day-1")
        != keyspace.limit("b:", "0a", "day-2")
        != keyspace.limit("b:", "0a")
    )


@given(st.text(), st.text())
def test_no_name_steers_or_breaks_a_key(one: str, other: str) -> None:
    assert re.fullmatch(r"gw:own:[0-9a-f]{24}", keyspace.owner(one))
    assert (keyspace.owner(one) == keyspace.owner(other)) is (one == other)
    for named in (keyspace.mark, lambda name: keyspace.recent("gw:{0}:", name)):
        assert re.fullmatch(r"gw:\{(keys|0)\}:(mark|recent):[0-9a-f]{24}", named(one))
        assert (named(one) == named(other)) is (one == other)


def test_no_tags_are_no_keyspace() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Keyspace(0)
