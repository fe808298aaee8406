from dataclasses import field, replace

import pytest

from gateway.policy.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0
    note: str = field(default="", compare=False, repr=False)


def test_it_is_compared_hashed_and_shown_by_its_fields() -> None:
    assert Point(1, 2) == Point(1, 2, note="x")
    assert Point(1, 2) != Point(2, 1)
    assert {Point(1, 2), Point(1, 2, "x")} == {Point(1, 2)}
    assert repr(Point(1, note="secret")) == "Point(x=1, y=0)"


def test_a_changed_one_is_another() -> None:
    before = Point(1, 2)
    assert replace(before, y=3) == Point(1, 3)
    assert before == Point(1, 2)


def test_it_has_the_fields_that_it_says_and_no_others() -> None:
    with pytest.raises(AttributeError):
        setattr(Point(1), "z", 1)  # noqa: B010 - mypy refuses the plain way
