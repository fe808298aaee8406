"""Nobody has logged in, and nothing is in the environment."""

from pathlib import Path

import pytest

from tests.logins import newcomer


@pytest.fixture(autouse=True)
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The login's file, before there is one."""
    return newcomer(monkeypatch, tmp_path)
