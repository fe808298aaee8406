"""Tables for people, JSON for machines."""

import json
from typing import Any

import pytest

from gateway.commands.printing import amounts, cell, counting, print_fields, print_json, print_table


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


def test_numbers_end_at_their_right_edge(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("n", "id"), [{"n": "1,000", "id": "a"}, {"n": "7", "id": "b"}], ("n",))
    assert capsys.readouterr().out == "    N  ID\n1,000  a\n    7  b\n"


def test_dollars_of_a_column_have_as_many_decimals() -> None:
    assert amounts([5 * 10**9, 123_450, -1_234_500_000_000]) == [
        "$5.00000000",
        "$0.00012345",
        "-$1,234.50000000",
    ]
    assert amounts([0]) == ["$0.00"]
    assert amounts([]) == []


def test_progress_is_for_those_who_watch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with counting("rows") as counter:
        counter.add(500)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with counting("rows") as counter:
        counter.add(500)
        counter.add(1000)
    shown = capsys.readouterr()
    assert (shown.out, counter.count) == ("", 1500)
    assert shown.err.startswith("\r500 rows\r1,500 rows\r")


def test_an_empty_table_is_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "name"), [])
    assert capsys.readouterr().out == "ID  NAME\n"


def test_fields_without_the_empty_ones(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"name": "a", "declared": False, "limits": [], "team": None, "tags": {"x": "y"}})
    assert capsys.readouterr().out == "name      a\ndeclared  no\ntags      x=y\n"


def test_json_keeps_what_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "é", "data": [None]})
    assert json.loads(capsys.readouterr().out) == {"name": "é", "data": [None]}
