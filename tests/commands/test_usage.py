"""`gateway usage`: the report of the admin API, as a table."""

import json
from typing import Any

import pytest

from tests.commands.conftest import Answering, Call


def sums(**changes: int) -> dict[str, Any]:
    names = (
        *("requests", "tokens", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"),
        *("cost", "cost_nano", "saved", "saved_nano", "hits", "errors", "unpriced"),
    )
    return dict.fromkeys(names, 0) | changes


REPORT: dict[str, Any] = {
    "object": "usage",
    "from": "2026-11-01",
    "to": "2026-11-22",
    "timezone": "UTC",
    "group_by": ["key"],
    "data": [
        {"key": "0a1b", "name": "alice", **sums(requests=1234, input_tokens=10_000, cost_nano=12 * 10**9)},
        {"key": "2c3d", "name": None, **sums(requests=6, output_tokens=7, cost_nano=123_450, hits=1)},
    ],
    "total": sums(
        requests=1240, input_tokens=10_000, output_tokens=7, cost_nano=12_000_123_450, hits=1, unpriced=2
    ),
}
USAGE = "/admin/v1/usage"


def test_a_table_with_a_total(server: Answering, call: Call) -> None:
    server.answer("GET", f"{USAGE}?group_by=key", REPORT)
    result = call("usage")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines == [
        ["KEY", "NAME", "REQUESTS", "INPUT", "OUTPUT", "CACHED", "COST", "SAVED", "HITS", "ERRORS"],
        ["0a1b", "alice", "1,234", "10,000", "0", "0", "$12.00000000", "$0.00", "0", "0"],
        ["2c3d", "-", "6", "0", "7", "0", "$0.00012345", "$0.00", "1", "0"],
        ["TOTAL", "1,240", "10,000", "7", "0", "$12.00012345", "$0.00", "1", "0"],
    ]
    ends = {line.index("$0.00 ") for line in result.stdout.splitlines()[1:]}
    assert len(ends) == 1  # the dollars stand below each other
    assert "price of 2 requests is not known" in result.stderr


def test_several_groups_and_days(server: Answering, call: Call) -> None:
    report = REPORT | {"group_by": ["day", "model"], "total": sums()}
    report["data"] = [{"day": "2026-11-22", "model": None, **sums()}]
    server.answer("GET", f"{USAGE}?from=2026-11-22&to=2026-11-23&group_by=day%2Cmodel", report)
    result = call("usage", "--from", "2026-11-22", "--to", "2026-11-23", "--by", "day,model")
    head, line, total = (line.split() for line in result.stdout.splitlines())
    assert head[:3] == ["DAY", "MODEL", "REQUESTS"]
    assert line[:3] == ["2026-11-22", "-", "0"]
    assert total[:2] == ["TOTAL", "0"]
    assert result.stderr == ""


def test_nothing_at_all_is_a_head_and_a_total(server: Answering, call: Call) -> None:
    server.answer("GET", f"{USAGE}?group_by=tag", REPORT | {"group_by": ["tag"], "data": []})
    lines = call("usage", "--by", "tag").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["TAG", "TOTAL"]


def test_for_machines_it_is_what_the_admin_api_answers(server: Answering, call: Call) -> None:
    server.answer("GET", f"{USAGE}?group_by=key", REPORT)
    server.answer("GET", f"{USAGE}?group_by=key&format=csv", b"key,name\r\n0a1b,=\r\n")
    assert json.loads(call("usage", "--json").stdout) == REPORT
    assert call("usage", "--csv").stdout_bytes == b"key,name\r\n0a1b,=\r\n"
    assert call("usage", "--csv", "--json").exit_code == 2


@pytest.mark.parametrize("options", [("--from", "May"), ("--by", "client")])
def test_what_is_wrong_is_said_by_the_admin_api(
    server: Answering, call: Call, options: tuple[str, str]
) -> None:
    error = {"error": {"message": "The value of it is not valid."}}
    server.answer("GET", f"{USAGE}?from=May&group_by=key", error, 400)
    server.answer("GET", f"{USAGE}?group_by=client", error, 400)
    result = call("usage", *options)
    assert (result.exit_code, result.stderr) == (1, "Error: The value of it is not valid.\n")
