"""A worker that dies is replaced at once; one that cannot live is left alone longer and longer."""

import pytest

from gateway.workers.pauses import FIRST, LONGEST, LONGEST_KILLED, SETTLED, Pauses


def test_whoever_has_served_for_a_while_is_replaced_at_once_each_time() -> None:
    pauses = Pauses()
    assert [pauses.after(SETTLED) for _ in range(100)] == [0.0] * 100


@pytest.mark.parametrize("served", [None, 0.0, SETTLED / 2])
def test_the_first_that_dies_young_is_replaced_at_once_and_the_next_ones_ever_later(
    served: float | None,
) -> None:
    pauses = Pauses()
    waits = [pauses.after(served) for _ in range(40)]
    assert waits[:4] == [0.0, FIRST, 2 * FIRST, 4 * FIRST]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST
    assert pauses.after(SETTLED) == 0.0
    assert pauses.after(served) == 0.0


def test_starts_that_come_to_nothing_are_counted_in_a_row() -> None:
    pauses = Pauses()
    for served in (None, None, 0.0, None):
        pauses.after(served)
    assert pauses.failures == 1


def test_somebody_who_kills_them_is_no_reason_to_give_up() -> None:
    pauses = Pauses()
    waits = [pauses.after(None, killed=True) for _ in range(40)]
    assert waits[:2] == [0.0, FIRST]
    assert waits[-1] == LONGEST_KILLED
    assert pauses.failures == 0
