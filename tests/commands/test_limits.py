"""`gateway limits`: where a key's limits stand."""

import json
from typing import Any

from tests.commands.conftest import Answering, Call


def limit(text: str, unit: str, used: float, left: float, resets_at: str | None = None) -> dict[str, Any]:
    return {
        "limit": text,
        "scope": "key:0a1b",
        "kind": "budget",
        "unit": unit,
        "mode": "enforce",
        "amount": used + left,
        "used": used,
        "left": left,
        "resets_at": resets_at,
    }


ANSWER = {
    "id": "0a1b",
    "limits": [
        limit("$5/day", "dollars", 1.250000001, 3.749999999, "2026-11-23T00:00:00.000Z"),
        limit("10000 requests/day", "requests", 1234, 8766, "2026-11-23T00:00:00.000Z"),
        limit("8 concurrent", "concurrent", 0, 8) | {"mode": "shadow"},
    ],
}
LIMITS = "/admin/v1/limits/0a1b"


def test_a_line_for_each_limit(server: Answering, call: Call) -> None:
    server.answer("GET", LIMITS, ANSWER)
    head, *lines = call("limits", "show", "0a1b").stdout.splitlines()
    assert head.split() == ["LIMIT", "SCOPE", "MODE", "USED", "LEFT", "RESETS", "AT"]
    assert lines[0].endswith("enforce  $1.250000001  $3.749999999  2026-11-23T00:00:00.000Z")
    assert lines[1].split()[-3:-1] == ["1,234", "8,766"]
    assert lines[2].split()[-4:] == ["shadow", "0", "8", "-"]


def test_for_machines_it_is_what_the_admin_api_answers(server: Answering, call: Call) -> None:
    server.answer("GET", LIMITS, ANSWER)
    assert json.loads(call("limits", "show", "0a1b", "--json").stdout) == ANSWER


def test_who_gives_a_name_is_told_the_id(server: Answering, call: Call) -> None:
    server.answer("GET", "/admin/v1/keys", {"data": [{"id": "0a1b", "name": "alice"}]})
    assert "the key of that name has the id 0a1b" in call("limits", "show", "alice").stderr
