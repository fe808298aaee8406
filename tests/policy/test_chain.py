"""A chain breaks where anything in it was changed, taken out, put in or moved."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.chain import link

rows = st.lists(st.binary(max_size=20), min_size=2, max_size=6)


def _hashes(rows: list[bytes]) -> list[str]:
    hashes, previous = [], ""
    for number, row in enumerate(rows, 1):
        previous = link(previous, number, row)
        hashes.append(previous)
    return hashes


@given(rows, st.data())
def test_every_hash_that_follows_a_change_changes(rows: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    changed = [*rows[:at], rows[at] + b"!", *rows[at + 1 :]]
    before, after = _hashes(rows), _hashes(changed)
    assert before[:at] == after[:at]
    assert all(old != new for old, new in zip(before[at:], after[at:], strict=True))


@given(rows)
def test_a_row_taken_out_is_missed(rows: list[bytes]) -> None:
    assert _hashes(rows)[-1] != _hashes(rows[1:])[-1]


def test_number_and_text_cannot_be_mistaken_for_each_other() -> None:
    assert link("", 1, b"1\nx") != link("", 11, b"x")
    assert link("", 1, b"") != link("1", 1, b"")
