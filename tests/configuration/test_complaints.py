"""Complaints: one per place, and none about what lies inside a place that is wrong itself."""

import pytest

from gateway.configuration.complaints import Complaints, ConfigError


def test_a_complaint_says_where_what_and_what_to_write() -> None:
    complaints = Complaints()
    complaints.add("server.port", "70000 is no port", "write less")
    complaints.add("server.host", "this is odd")
    assert list(complaints) == ["server.port: 70000 is no port; write less", "server.host: this is odd"]
    assert len(complaints) == 2


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("keys[0]", "keys[0].limits[1]", False),
        ("keys[0].limits", "keys[0].limits[1]", False),
        ("keys[0].name", "keys[0].name", False),
        ("keys[0].name", "keys[0].limits", True),
        ("keys[1]", "keys[10]", True),
        ("keys[0].limits[1]", "keys[0].limits", True),
    ],
)
def test_what_lies_inside_a_wrong_place_is_not_complained_about(first: str, second: str, both: bool) -> None:
    complaints = Complaints()
    complaints.add(first, "wrong")
    complaints.add(second, "wrong too")
    assert len(complaints) == 1 + both


def test_a_value_from_the_environment_names_its_variable() -> None:
    complaints = Complaints({"keys": "GATEWAY_KEYS"})
    complaints.add("keys[0].team", "there is none")
    complaints.add("teams[0].name", "wrong")
    assert list(complaints) == ["keys[0].team (from GATEWAY_KEYS): there is none", "teams[0].name: wrong"]


def test_no_complaint_moves_the_cursor() -> None:
    complaints = Complaints()
    complaints.add("GATEWAY_\x1b[2J", "there is no such setting\n")
    assert all(complaint.isprintable() for complaint in complaints)


def test_the_error_carries_them_all() -> None:
    error = ConfigError(["a: b", "c: d"])
    assert error.complaints == ["a: b", "c: d"]
    assert str(error) == "a: b\nc: d"
