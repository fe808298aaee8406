import pytest

from gateway.policy.operation import Body, Charge, Endpoint, act, delete, form, get, grouped, post, socket


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (get("a", "/a", lists="file"), ("GET", Body.NONE, Charge.FREE, False)),
        (post("a", "/a", Charge.USAGE), ("POST", Body.JSON, Charge.USAGE, False)),
        (form("a", "/a", creates="file"), ("POST", Body.FORM, Charge.FREE, False)),
        (act("a", "/a", Charge.FEE), ("POST", Body.NONE, Charge.FEE, False)),
        (delete("a", "/a"), ("DELETE", Body.NONE, Charge.FREE, False)),
        (socket("a", "/a", Charge.USAGE), ("GET", Body.NONE, Charge.USAGE, True)),
    ],
)
def test_what_a_row_says(row: Endpoint, expected: tuple[object, ...]) -> None:
    assert (row.method, row.body, row.charge, row.socket) == expected
    assert (row.judged, row.cacheable, row.model) == (False, False, False)


def test_rows_of_one_group() -> None:
    rows = grouped("files", get("a", "/a", lists="file"), post("b", "/b", creates="file", streams=True))
    assert [(row.name, row.group, row.lists, row.creates, row.streams) for row in rows] == [
        ("a", "files", "file", "", False),
        ("b", "files", "", "file", True),
    ]
