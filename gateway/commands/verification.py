"""Walking the whole ledger through the admin API, in chunks."""

from typing import TYPE_CHECKING, Any

from gateway.commands.printing import counting

if TYPE_CHECKING:
    from gateway.commands.adminapi import AdminApi

_CHUNK = 2_000
_TIMEOUT = 60.0


def walk(api: "AdminApi", expected: tuple[int, str] | None) -> dict[str, Any]:
    """Check every row: how many, `first` and `last` number, the last `hash`, and where it is `broken`, if so.

    `expected` are the number and hash of a row that must be there.
    """
    found: dict[str, Any] = {"rows": 0, "first": None, "last": None, "hash": "", "broken": None}
    after: str | None = ""
    with counting("rows") as counter:
        while after is not None:
            query = {"limit": str(_size(found["last"], expected))} | ({"after": after} if after else {})
            part = api.call("GET", "ledger", "verify", query=query, timeout=_TIMEOUT)
            counter.add(part["rows"])
            _add(found, part)
            _compare(found, expected)
            after = None if found["broken"] is not None else part["next"]
    if expected is not None and found["broken"] is None:
        found["broken"] = _missing(found, expected)
    return found


def _size(last: int | None, expected: tuple[int, str] | None) -> int:
    """So many that a chunk ends with the row that is expected: of each, the last one's hash is told."""
    if expected is None or (last is not None and last >= expected[0]):
        return _CHUNK
    return 1 if last is None else min(_CHUNK, expected[0] - last)


def _add(found: dict[str, Any], part: dict[str, Any]) -> None:
    found["rows"] += part["rows"]
    if found["first"] is None:
        found["first"] = part["first"]
    if part["last"] is not None:
        found["last"], found["hash"] = part["last"], part["hash"]
    found["broken"] = part["broken"]


def _compare(found: dict[str, Any], expected: tuple[int, str] | None) -> None:
    if expected is not None and found["last"] == expected[0] and found["hash"] != expected[1]:
        reason = f"its hash is {found['hash']}, and {expected[1]} was expected"
        found["broken"] = found["broken"] or {"number": expected[0], "reason": reason}


def _missing(found: dict[str, Any], expected: tuple[int, str]) -> dict[str, Any] | None:
    number = expected[0]
    if found["last"] is None or number > found["last"]:
        return {"number": number, "reason": "it was expected, and the ledger ends before it"}
    if number < found["first"]:
        return {"number": number, "reason": "it was expected, and the ledger begins after it"}
    return None
