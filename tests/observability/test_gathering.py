import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from gateway.observability.gathering import Gathered

SECONDS = 10.0  # more than any of this takes; a test that waits so long has failed


class Dealt:
    """Batches as they were dealt with."""

    def __init__(self, *, at_once: bool = False, most: int = 4) -> None:
        self.batches: list[list[int]] = []
        self.told = asyncio.Event()
        self.gathered = Gathered(self._deal, lambda: at_once, most)

    def _deal(self, items: Sequence[int]) -> None:
        self.batches.append(list(items))
        self.told.set()


async def test_deals_with_many_at_once_and_in_order() -> None:
    dealt = Dealt()
    for number in range(8):
        dealt.gathered.add(number)
    assert dealt.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]


async def test_what_is_left_waits_for_a_moment_only() -> None:
    dealt = Dealt()
    for number in range(5):
        dealt.gathered.add(number)
    assert repr(dealt.gathered) == "<Gathered 1 waiting>"
    dealt.told.clear()
    await asyncio.wait_for(dealt.told.wait(), SECONDS)
    assert dealt.batches == [[0, 1, 2, 3], [4]]
    dealt.told.clear()
    dealt.gathered.add(5)
    await asyncio.wait_for(dealt.told.wait(), SECONDS)
    assert dealt.batches[2:] == [[5]]


async def test_whoever_reads_the_registry_sees_all_of_it() -> None:
    dealt, registry = Dealt(), CollectorRegistry()
    registry.register(dealt.gathered)
    dealt.gathered.add(1)
    assert list(registry.collect()) == []
    assert dealt.batches == [[1]]


async def test_nothing_waits_where_somebody_wants_it_at_once() -> None:
    dealt = Dealt(at_once=True)
    dealt.gathered.add(1)
    dealt.gathered.add(2)
    assert dealt.batches == [[1], [2]]


def test_nothing_waits_where_no_loop_would_come_back_to_it() -> None:
    dealt = Dealt()
    dealt.gathered.add(1)
    dealt.gathered.add(2)
    assert dealt.batches == [[1], [2]]


async def test_nothing_waits_near_the_end() -> None:
    dealt = Dealt()
    dealt.gathered.add(1)
    dealt.gathered.stop_waiting()
    dealt.gathered.add(2)
    assert dealt.batches == [[1], [2]]


async def test_what_one_batch_fails_with_is_not_left_to_the_next() -> None:
    seen: list[list[int]] = []

    def fails(items: Sequence[int]) -> None:
        seen.append(list(items))
        raise RuntimeError

    gathered = Gathered(fails, lambda: False)
    gathered.add(1)
    with pytest.raises(RuntimeError):
        gathered.flush()
    gathered.flush()
    assert seen == [[1]]
