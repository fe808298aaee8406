"""The values that are made of schemas fit them, whatever the seed."""

import importlib
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.mock import FAULTS
from tests.conformance.specification import operations, resolve
from tests.conformance.values import Unsupported, height, value
from tests.spec import load, needs_spec

seeds = st.integers(0, 10**6)


def made(schema: dict[str, Any], seed: int) -> Any:
    return value(schema, Random(seed))


@given(seeds)
def test_objects_have_what_is_required(seed: int) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"type": "string"}, "c": {"type": "boolean"}},
        "required": ["a", "b"],
    }
    one = made(schema, seed)
    assert one["a"] == 1
    assert isinstance(one["b"], str)
    assert one.keys() <= {"a", "b", "c"}


@given(seeds)
def test_all_of_is_one_object(seed: int) -> None:
    named = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    kind = {"type": "object", "properties": {"name": {"enum": ["x"]}, "k": {"const": 2}}, "required": ["k"]}
    assert made({"allOf": [named, kind]}, seed) == {"name": "x", "k": 2}


@given(seeds)
def test_one_alternative_and_never_null(seed: int) -> None:
    assert made({"anyOf": [{"const": "a"}, {"const": "b"}, {"type": "null"}]}, seed) in ("a", "b")


@given(seeds)
def test_what_may_not_come_together_does_not(seed: int) -> None:
    properties = {"url": {"type": "string"}, "id": {"type": "string"}}
    schema = {
        "type": "object",
        "properties": properties,
        "anyOf": [{"required": ["url"]}, {"required": ["id"]}],
        "not": {"required": ["url", "id"]},
    }
    assert len(made(schema, seed)) == 1


@given(seeds, st.integers(0, 5), st.integers(0, 5))
def test_bounds(seed: int, least: int, more: int) -> None:
    numbers = {"type": "integer", "minimum": least, "maximum": least + more}
    many = made({"type": "array", "items": numbers, "minItems": least, "maxItems": least + more}, seed)
    assert least <= len(many) <= least + more
    assert all(least <= one <= least + more for one in many)


@pytest.mark.parametrize(
    "bounds",
    [
        {"exclusiveMinimum": 0, "maximum": 1},
        {"exclusiveMinimum": True, "minimum": 0, "maximum": 1},
        {"minimum": "0.25", "maximum": 0.5},
    ],
)
@given(seeds)
def test_bounds_in_each_way_they_are_written(bounds: dict[str, Any], seed: int) -> None:
    assert 0 < made({"type": "number", **bounds}, seed) <= 1


def test_what_is_unknown_is_said() -> None:
    with pytest.raises(Unsupported, match="pattern"):
        made({"type": "string", "pattern": "^[0-9]{40}$"}, 1)
    with pytest.raises(Unsupported, match="type"):
        made({"type": "colour"}, 1)


def test_what_contains_itself_is_endless_unless_there_is_a_way_out() -> None:
    leaf = {"type": "string"}
    tree: dict[str, Any] = {"type": "object", "required": ["inner"], "properties": {}}
    tree["properties"]["inner"] = {"anyOf": [tree, leaf]}
    assert height(tree) == 1
    assert made(tree, 3)
    tree["properties"]["inner"] = tree
    assert height(tree) >= 1000


@needs_spec
@pytest.mark.parametrize("name", FAULTS)
def test_what_the_mock_cannot_judge_is_judged_here(name: str) -> None:
    """A second opinion on the parts of requests whose complaints are excused."""
    (operation,) = [one for one in operations() if one.name == name]
    form = resolve(operation.bodies["multipart/form-data"]["schema"])
    schema = form["properties"][FAULTS[name].place.removeprefix("body.")]
    jsonschema: Any = importlib.import_module("jsonschema")
    validator = jsonschema.Draft202012Validator({**schema, "components": load()["components"]})
    for seed in range(50):
        assert not list(validator.iter_errors(made(schema, seed)))
