"""Claims as the scripts read them: which counters, in which window, kept for how long."""

import msgspec
import pytest

from gateway.policy.records import Claim, Limit, Unit, Window
from gateway.store import keyspace
from gateway.store.counters import KEPT_MS, Counters, meters_of
from tests.store.claims import ALL, DAY, DOLLARS, SLOTS, TOKENS, claim
from tests.store.servers import NOW

TOTAL = Limit("$5/total", Unit.DOLLARS, 500, Window.TOTAL, "key:a")
BASE = "gw:{0}:"


def test_a_claim_says_all_that_its_counter_needs() -> None:
    keys = ["first"]
    packed, ends = Counters("UTC").pack(BASE, [claim(TOKENS, 7), claim(DOLLARS, 9), claim(TOTAL)], keys, NOW)
    tokens, dollars, total = msgspec.msgpack.decode(packed)
    assert keys == [
        "first",
        keyspace.limit(BASE, TOKENS.id),
        keyspace.limit(BASE, DOLLARS.id, "day-2026-09-21"),
        keyspace.limit(BASE, TOTAL.id, "total"),
    ]
    left = DAY - NOW % DAY
    assert ends == [None, NOW + left, None]
    assert tokens == {
        "unit": "tokens", "amount": 7, "cap": 1000, "meter": TOKENS.id, "scale": 60_000, "leak": 1000,
        "ttl": KEPT_MS, "held": True, "slots": False, "shadow": False,
    }  # fmt: skip
    assert (dollars["scale"], dollars["leak"], dollars["ttl"]) == (1, 0, KEPT_MS + left)
    assert total["ttl"] == 0


def test_a_window_is_that_of_the_time_zone() -> None:
    keys: list[str] = []
    Counters("Pacific/Auckland").pack(BASE, [claim(DOLLARS)], keys, NOW)
    assert keys == [keyspace.limit(BASE, DOLLARS.id, "day-2026-09-22")]


@pytest.mark.parametrize("claims", [[claim(TOKENS), claim(TOKENS, 2)], [Claim(SLOTS, -1, True)]])
def test_nonsense_is_refused(claims: list[Claim]) -> None:
    with pytest.raises(ValueError, match="twice, or less"):
        Counters("UTC").pack(BASE, claims, [], NOW)
    with pytest.raises(ValueError, match="twice, or less"):
        meters_of(claims)


def test_a_meter_is_the_same_in_every_window() -> None:
    assert meters_of([claim(limit) for limit in ALL]) == [limit.id for limit in ALL]
