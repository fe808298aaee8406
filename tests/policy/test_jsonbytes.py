import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.jsonbytes import parse


class Shape(msgspec.Struct):
    a: int = 0


SHAPE = msgspec.json.Decoder(Shape)
ANY = msgspec.json.Decoder()


def test_the_shape_is_read_and_the_rest_skipped() -> None:
    assert parse(SHAPE, b'{"b": [1, {"c": null}], "a": 3}') == Shape(3)


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"a":"1"}', b"[]", b'{"a":1}x', b'"\xff"', b'"\\ud800"', b"1e999"]
)
def test_anything_else_is_nothing(data: bytes) -> None:
    assert parse(SHAPE, data) is None


@given(st.binary(max_size=40))
def test_it_never_raises(data: bytes) -> None:
    parse(ANY, data)


def test_what_nests_too_deep_is_nothing() -> None:
    assert parse(ANY, b"[" * 100_000 + b"]" * 100_000) is None
