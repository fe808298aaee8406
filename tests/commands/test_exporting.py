"""Writing out the ledger: pages become one file, or none."""

from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from tests.commands.conftest import Answering, Call

FIRST = "/admin/v1/ledger?format={}&order=oldest&limit=500"
SECOND = FIRST + "&cursor=17-0"
HEAD = b"number,tags\r\n"
ONE, TWO = b'1,"{""a"":\n""b""}"\r\n', b"2,\r\n3,'=1\r\n"


def csv_pages(server: Answering) -> None:
    server.answer("GET", FIRST.format("csv"), HEAD + ONE, x_gateway_next_cursor="17-0")
    server.answer("GET", SECOND.format("csv"), HEAD + TWO)


def test_a_file_has_one_header(server: Answering, call: Call, tmp_path: Path) -> None:
    csv_pages(server)
    result = call("ledger", "export", "-o", str(tmp_path / "all.csv"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "3 rows are in" in result.stderr
    assert (tmp_path / "all.csv").read_bytes() == HEAD + ONE + TWO
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]


def test_the_output_has_the_rows_and_nothing_else(server: Answering, call: Call) -> None:
    csv_pages(server)
    result = call("ledger", "export")
    assert (result.stdout_bytes, result.stderr) == (HEAD + ONE + TWO, "")


def test_json_lines(server: Answering, call: Call) -> None:
    server.answer("GET", FIRST.format("jsonl"), b'{"number":1}\n', x_gateway_next_cursor="17-0")
    server.answer("GET", SECOND.format("jsonl"), b'{"number":2}\n')
    assert call("ledger", "export", "--format", "jsonl").stdout_bytes == b'{"number":1}\n{"number":2}\n'


def test_only_what_was_asked_for_is_sent_along(server: Answering, call: Call) -> None:
    call("ledger", "export", "--from", "2026-11-01", "--to", "2026-11-02", "--key", "0a1b", "--team", "a b")
    call("ledger", "export", "--model", "gpt-6", "--tag", "site=a")
    always = {"format": "csv", "order": "oldest", "limit": "500"}
    assert [dict(parse_qsl(path.partition("?")[2])) for _, path, _, _ in server.requests] == [
        {"from": "2026-11-01", "to": "2026-11-02", "key": "0a1b", "team": "a b", **always},
        {"model": "gpt-6", "tag": "site=a", **always},
    ]


def test_half_an_export_is_no_file(server: Answering, call: Call, tmp_path: Path) -> None:
    server.answer("GET", FIRST.format("csv"), HEAD + ONE, x_gateway_next_cursor="17-0")
    server.answer("GET", SECOND.format("csv"), {"error": {"message": "The store does not answer."}}, 503)
    kept = tmp_path / "all.csv"
    kept.write_bytes(b"of yesterday")
    result = call("ledger", "export", "-o", str(kept))
    assert (result.exit_code, result.stderr) == (1, "Error: The store does not answer.\n")
    assert kept.read_bytes() == b"of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]


@pytest.mark.parametrize("name", ["no/such/folder.csv"])
def test_a_file_that_cannot_be_written(server: Answering, call: Call, tmp_path: Path, name: str) -> None:
    csv_pages(server)
    result = call("ledger", "export", "-o", str(tmp_path / name))
    assert result.exit_code == 1
    assert "cannot be written: No such file or directory." in result.stderr
