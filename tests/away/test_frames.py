"""A line of the journal: read as it was written, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.away.frames import Ended, Pending, Upto, decode, encode
from gateway.policy.records import Unit
from tests.away.entries import pending


@pytest.mark.parametrize(
    "frame", [pending("h", 3), pending("h", dispatched=True), Ended("h"), Upto(12), pending("a\nb")]
)
def test_it_is_read_as_it_was_written(frame: Pending | Ended | Upto) -> None:
    line = encode(frame)
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == frame


@given(st.data())
def test_a_line_that_is_not_whole_is_not_read(data: st.DataObject) -> None:
    line = encode(pending("h"))[:-1]
    cut = data.draw(st.integers(0, len(line) - 1))
    for damaged in (line[:cut], line[cut + 1 :], line[:cut] + bytes([line[cut] ^ 1]) + line[cut + 1 :]):
        with pytest.raises(ValueError, match="damaged"):
            decode(damaged)


def test_without_a_figure_the_worst_is_charged() -> None:
    assert pending("h", dispatched=True).charge() == {Unit.TOKENS: 900}
    assert pending("h", 5).charge() == {Unit.TOKENS: 5}
