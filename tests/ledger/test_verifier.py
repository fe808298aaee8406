"""A chain is taken for what it is: whole, or broken at a row that is named."""

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.verifier import Verifier
from gateway.policy.chain import link
from gateway.store.base import Kept
from tests.ledger.rows import chained, row

ROWS = chained(row(n) for n in range(1, 11))


def fed(rows: list[Kept]) -> Verifier:
    verifier = Verifier()
    verifier.feed(rows)
    return verifier


def changed(n: int, **changes: Any) -> list[Kept]:
    return [dataclasses.replace(each, **changes) if each.number == n else each for each in ROWS]


@given(st.lists(st.integers(0, 10), max_size=5))
def test_a_whole_chain_is_right_in_whatever_pieces(cuts: list[int]) -> None:
    verifier = Verifier()
    edges = [0, *sorted(cuts), 10]
    for start, end in itertools.pairwise(edges):
        verifier.feed(ROWS[start:end])
    assert (verifier.ok, verifier.rows, verifier.first, verifier.head) == (True, 10, 1, ROWS[-1].hash)


def test_nothing_is_no_proof_of_anything() -> None:
    verifier = Verifier()
    assert (verifier.ok, verifier.rows, verifier.first, verifier.head) == (True, 0, None, "")


def test_a_chain_that_begins_later_is_right_from_there() -> None:
    verifier = fed(ROWS[4:])
    assert (verifier.ok, verifier.rows, verifier.first) == (True, 6, 5)


def test_the_first_row_of_all_follows_none() -> None:
    assert fed(chained([row(1)], previous="f" * 40)).broken is not None


@pytest.mark.parametrize("n", range(1, 11))
def test_a_text_that_was_changed_is_named(n: int) -> None:
    assert fed(changed(n, row=ROWS[n - 1].row.replace(b"alice", b"alicf"))).broken == (
        n,
        "its hash does not fit its text and the row before it",
    )


@pytest.mark.parametrize("n", range(1, 10))
def test_a_text_that_was_changed_with_its_hash_breaks_the_next_row(n: int) -> None:
    text = ROWS[n - 1].row.replace(b"alice", b"alicf")
    previous = ROWS[n - 2].hash if n > 1 else ""
    verifier = fed(changed(n, row=text, hash=link(previous, n, text)))
    assert verifier.broken is not None
    assert verifier.broken[0] == n + 1
    assert verifier.rows == n


@pytest.mark.parametrize(
    ("rows", "number", "why"),
    [
        ([*ROWS[:4], *ROWS[5:]], 5, "it is missing"),
        ([*ROWS[:4], *ROWS[7:]], 5, "the rows up to 7 are missing"),
        ([*ROWS[:4], ROWS[3], *ROWS[4:]], 4, "row 4 comes after row 4"),
        ([*ROWS[:4], ROWS[5], ROWS[4], *ROWS[6:]], 5, "it is missing"),
        ([*ROWS[:6], *ROWS[3:]], 4, "row 4 comes after row 6"),
        ([dataclasses.replace(ROWS[0], number=0)], 0, "row 0 comes after row 0"),
    ],
)
def test_rows_that_are_missing_doubled_or_moved_are_named(rows: list[Kept], number: int, why: str) -> None:
    assert fed(rows).broken == (number, why)


def test_a_row_that_cannot_be_read_is_named() -> None:
    assert fed(chained([row(1), b"{}", row(3)])).broken == (2, "it is no row that can be read")
    assert fed(chained([b"\xff"])).broken == (1, "it is no row that can be read")


def test_what_comes_after_a_break_is_not_looked_at() -> None:
    verifier = fed([*ROWS[:2], *ROWS[3:]])
    verifier.feed(ROWS[2:])
    assert (verifier.broken, verifier.rows, verifier.head) == ((3, "it is missing"), 2, ROWS[1].hash)


@given(st.integers(1, 10), st.integers(0, 400), st.integers(1, 255))
def test_not_one_byte_can_be_changed(n: int, at: int, flip: int) -> None:
    text = bytearray(ROWS[n - 1].row)
    text[at % len(text)] ^= flip
    broken = fed(changed(n, row=bytes(text))).broken
    assert broken is not None
    assert broken[0] == n
