"""`gateway serve`: what keeps it from starting. That it serves is shown in `tests/e2e`."""

from pathlib import Path

import pytest

from tests.commands.conftest import Call


def test_a_bad_configuration_is_said_on_the_standard_error(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("[server]\nport = 99999\nprot = 1\n")
    result = call("serve", "--config", str(path))
    assert result.exit_code == 78
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 3


def test_what_is_said_on_the_command_line_is_checked_like_the_rest(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("serve", "--workers", "400", "--port", "8081")
    assert result.exit_code == 78
    assert "server.workers" in result.stderr
    assert "admin.port: this is the public listener's port too" in result.stderr


def test_a_port_that_is_none_is_wrong_use(call: Call) -> None:
    assert call("serve", "--port", "70000").exit_code == 2
