"""How much an answer can be at most, as a body says it or as its operation has it."""

import json
from typing import Any

import pytest

from gateway.errors import InvalidRequest
from gateway.policy.endpoints import TABLE
from gateway.policy.facts import Facts, read
from gateway.policy.outputs import IMAGE_INPUT

ENDPOINTS = {endpoint.name: endpoint for endpoint in TABLE}


def facts(_name: str = "chat.completions", /, **fields: Any) -> Facts:
    return read(ENDPOINTS[_name], json.dumps({"model": "gpt-4o", **fields}).encode())


def refusal(_name: str, body: bytes) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as caught:
        read(ENDPOINTS[_name], body)
    return caught.value.code, caught.value.param


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": 5, "max_completion_tokens": 9}, 9),
        ({"max_tokens": 9, "max_completion_tokens": 5}, 9),
        ({"max_output_tokens": 5}, None),
        ({"max_tokens": 10**9}, 10**9),
    ],
)
def test_the_clients_own_bound(fields: dict[str, Any], expected: int | None) -> None:
    assert facts(**fields).max_output == expected


def test_a_bound_counts_only_where_the_operation_knows_it() -> None:
    assert facts("responses", max_output_tokens=7).max_output == 7
    assert facts("responses", max_tokens=7).max_output is None
    assert facts("embeddings", max_tokens=7).max_output == 0
    assert facts("moderations").max_output == 0


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "n"])
@pytest.mark.parametrize(
    "value", ["-1", '"5"', "1.5", "1.0", "1e400", "true", "[]", "{}", "1000000001", "9" * 5000, "-0"]
)
def test_a_bad_number_is_refused_by_its_name(field: str, value: str) -> None:
    body = f'{{"model":"m","{field}":{value}}}'.encode()
    assert refusal("chat.completions", body) == (f"invalid_{field}", field)


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("chat.completions", {"n": 3}, 3),
        ("chat.completions", {"n": None}, 1),
        ("chat.completions", {"n": 128, "best_of": 7}, 128),
        ("completions", {"n": 2, "best_of": 5}, 5),
        ("completions", {"best_of": 0}, 1),
        ("completions", {"n": 2, "prompt": ["a", "b", "c"]}, 6),
        ("completions", {"n": 2, "prompt": [1, 2, 3]}, 2),
        ("completions", {"n": 2, "prompt": [[1, 2], [3]]}, 4),
        ("completions", {"n": 2, "prompt": []}, 2),
        ("embeddings", {"n": 5, "input": ["a", "b"]}, 1),
        ("responses", {"n": 5}, 1),
    ],
)
def test_how_many_choices(name: str, fields: dict[str, Any], expected: int) -> None:
    assert facts(name, **fields).n == expected


@pytest.mark.parametrize(("field", "value"), [("n", 0), ("n", 129), ("best_of", 21)])
def test_too_many_choices(field: str, value: int) -> None:
    body = json.dumps({"model": "m", field: value}).encode()
    assert refusal("completions", body) == (f"invalid_{field}", field)


@pytest.mark.parametrize(
    ("name", "fields", "n", "max_output"),
    [
        ("images.generate", {}, 1, 8_192),
        ("images.generate", {"n": 10, "size": "1024x1024"}, 10, 8_192),
        ("images.generate", {"n": 2, "size": "3840x2160"}, 2, 6 * 8_192),
        ("images.edit", {"n": 3}, 3, 8_192),
        ("audio.speech.create", {"input": "four"}, 1, 1_080),
        ("audio.transcriptions.create", {}, 1, 7_500),
        ("responses.compact", {"input": "x"}, 1, None),
        ("decisions.create", {"input": "x"}, 1, None),
        ("edits", {"n": 20}, 20, None),
        ("responses.input_tokens.count", {"n": 5}, 1, 0),
        ("embeddings", {}, 1, 0),
    ],
)
def test_the_worst_that_can_come_out(
    name: str, fields: dict[str, Any], n: int, max_output: int | None
) -> None:
    known = facts(name, **fields)
    assert (known.n, known.max_output) == (n, max_output)


def test_pictures_in_json_are_bounded_as_those_in_a_form() -> None:
    assert facts("images.edit", prompt="cat").input_bound == IMAGE_INPUT + 3
    assert facts("images.generate", prompt="cat").input_bound is None
