"""`gateway check`: every complaint, and an exit code."""

from pathlib import Path

import pytest

from tests.commands.conftest import Call


def test_nothing_is_wrong(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[server]\nport = 9000\n")
    result = call("check", "--config", str(path))
    assert (result.exit_code, result.stdout) == (0, f"{path}: nothing to complain about.\n")


def test_every_complaint_is_printed(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[server]\nport = 99999\nprot = 1\n")
    result = call("check", "--config", str(path), GATEWAY_ADMIN__PORT="x")
    assert result.exit_code == 1
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "server.prot",
        "admin.port (from GATEWAY_ADMIN__PORT)",
        "server.port",
    ]


def test_the_file_in_the_working_folder_is_checked(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("check").stdout == "The environment: nothing to complain about.\n"
    (tmp_path / "gateway.toml").write_text("nonsense")
    assert call("check").exit_code == 1


def test_a_missing_file_is_a_complaint(call: Call, tmp_path: Path) -> None:
    result = call("check", "--config", str(tmp_path / "none.toml"))
    assert result.exit_code == 1
    assert "cannot be read: no such file" in result.stdout
