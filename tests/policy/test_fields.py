import pytest

from gateway.errors import InvalidRequest
from gateway.policy.fields import Fields, invalid
from gateway.policy.members import members

BODY = b'{"yes": true, "no": false, "none": null, "n": 12, "word": "x", "list": [1]}'


def fields(strict: bool = True) -> Fields:
    return Fields(BODY, members(BODY), strict)


def test_what_is_there_and_what_is_not() -> None:
    assert (fields().boolean("yes"), fields().boolean("no")) == (True, False)
    assert fields().boolean("none") is None
    assert fields().boolean("absent") is None
    assert fields().integer("n", 1, 12) == 12
    assert fields().integer("none", 1, 12) is None
    assert fields().raw("word") == b'"x"'
    assert fields().decoded("word", lambda raw: raw.strip(b'"'), "a word") == b"x"


@pytest.mark.parametrize("name", ["n", "word", "list"])
def test_another_shape_is_refused_or_as_if_it_were_absent(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        fields().boolean(name)
    assert (caught.value.code, caught.value.param) == (f"invalid_{name}", name)
    assert fields(strict=False).boolean(name) is None


@pytest.mark.parametrize(("least", "most"), [(13, 20), (0, 11)])
def test_a_number_out_of_bounds_is_refused_always(least: int, most: int) -> None:
    with pytest.raises(InvalidRequest, match="'n' must be a whole number"):
        fields(strict=False).integer("n", least, most)


def test_the_complaint_names_the_field() -> None:
    assert str(invalid("size", "must be small")) == "'size' must be small."
