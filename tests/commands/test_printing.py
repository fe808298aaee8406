"""Tables for people, JSON for machines."""

import json
from typing import Any

import pytest

from gateway.commands.printing import cell, print_fields, print_json, print_table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (7, "7"),
        (["a", "b"], "a, b"),
        ({"limit": "8 concurrent", "mode": "shadow"}, "8 concurrent (shadow)"),
        ({"limit": "8 concurrent"}, "8 concurrent"),
        ({"cost": "7", "site": ["a"]}, "cost=7, site=a"),
    ],
)
def test_a_value_in_a_few_words(value: Any, text: str) -> None:
    assert cell(value) == text


def test_columns_line_up_and_lines_do_not_trail(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "team"), [{"id": "long one", "team": None}, {"id": "b", "team": "c\nd"}])
    assert capsys.readouterr().out == "ID        TEAM\nlong one\nb         c?d\n"


def test_an_empty_table_is_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "name"), [])
    assert capsys.readouterr().out == "ID  NAME\n"


def test_fields_without_the_empty_ones(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"name": "a", "declared": False, "limits": [], "team": None, "tags": {"x": "y"}})
    assert capsys.readouterr().out == "name      a\ndeclared  no\ntags      x=y\n"


def test_json_keeps_what_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "é", "data": [None]})
    assert json.loads(capsys.readouterr().out) == {"name": "é", "data": [None]}
