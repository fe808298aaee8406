"""Requests that are made of the description: the same for the same seed, and as its styles say."""

import json
from typing import Any

import pytest

from tests.conformance.generate import BOUNDARY, FILE, Case, plain, request, variants
from tests.conformance.specification import Operation, operations
from tests.spec import needs_spec


def operation(
    *parameters: dict[str, Any], path: str = "/things", bodies: dict[str, Any] | None = None
) -> Operation:
    types = {name: {"schema": schema} for name, schema in (bodies or {}).items()}
    required = tuple(parameter | {"required": True} for parameter in parameters)
    return Operation("make", "POST", path, required, types)


def target(*parameters: dict[str, Any], path: str = "/things") -> set[str]:
    """The targets that ten seeds lead to."""
    asked = plain(operation(*parameters, path=path))
    return {request(asked, seed).target for seed in range(10)}


def test_the_same_seed_is_the_same_request() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    asked = plain(operation(bodies={"application/json": schema}))
    assert request(asked, 7) == request(asked, 7)
    assert len({request(asked, seed).body for seed in range(10)}) > 1


def test_arrays_are_repeated_and_brackets_come_in_both_ways() -> None:
    two = {"type": "array", "items": {"const": "a b"}, "minItems": 2, "maxItems": 2}
    assert target({"in": "query", "name": "id[]", "schema": two}) == {
        "/things?id[]=a%20b&id[]=a%20b",
        "/things?id%5B%5D=a%20b&id%5B%5D=a%20b",
    }
    together = {"in": "query", "name": "id", "explode": False, "schema": two}
    assert target(together) == {"/things?id=a%20b%2Ca%20b"}


def test_objects_have_brackets_and_booleans_are_lower_case() -> None:
    since = {"type": "object", "properties": {"gt": {"const": 1}}, "required": ["gt"]}
    parameters = (
        {"in": "query", "name": "at", "schema": since},
        {"in": "query", "name": "x", "schema": {"const": True}},
    )
    assert target(*parameters) == {"/things?at[gt]=1&x=true", "/things?at%5Bgt%5D=1&x=true"}


def test_a_query_that_the_path_has_already_goes_on() -> None:
    more = {"in": "query", "name": "n", "schema": {"const": 1}}
    assert target(more, path="/things?beta=true") == {"/things?beta=true&n=1"}


def test_forms_have_files_and_repeated_fields() -> None:
    schema = {
        "type": "object",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "tag": {"type": "array", "items": {"const": "t"}, "minItems": 2, "maxItems": 2},
            "how": {"type": "object", "properties": {"n": {"const": 3}}, "required": ["n"]},
        },
        "required": ["file", "tag", "how"],
    }
    asked = request(plain(operation(bodies={"multipart/form-data": schema})), 1)
    body = asked.body or b""
    assert body.count(FILE) == 1
    assert body.count(b'name="tag"\r\n\r\nt\r\n') == 2
    assert b'name="how[n]"\r\n\r\n3\r\n' in body
    assert ("content-type", f"multipart/form-data; boundary={BOUNDARY}") in asked.headers


def test_a_stream_is_asked_for_with_its_usage() -> None:
    options = {"type": "object", "properties": {"include_usage": {"type": "boolean"}}}
    properties = {"stream": {"type": "boolean"}, "stream_options": options}
    asked = operation(bodies={"application/json": {"type": "object", "properties": properties}})
    streamed = request(Case(asked, "application/json", stream=True), 1)
    assert json.loads(streamed.body or b"") == {"stream": True, "stream_options": {"include_usage": True}}
    assert "stream" not in json.loads(request(plain(asked), 1).body or b"")


@needs_spec
@pytest.mark.parametrize("seed", range(20))
def test_every_operation_of_the_description_can_be_asked(seed: int) -> None:
    for one in operations():
        for case in (plain(one), *variants(one)):
            asked = request(case, seed)
            assert "{" not in asked.target
            assert (asked.body is not None) == bool(one.bodies)
