"""A user who has no key yet: an empty configuration folder, no variables, no keyring."""

import importlib.util
import os
from pathlib import Path

import pytest

VARIABLES = ("GATEWAY_API_KEY", "GATEWAY_BASE_URL", "OPENAI_API_BASE", "OPENAI_BASE_URL")
NO_KEYRING = "keyring.backends.null.Keyring"


def newcomer(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Where the login of this user will be. The keyring of whoever runs the tests is not touched."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", NO_KEYRING)
    if importlib.util.find_spec("keyring") is not None:
        import keyring.backends.null
        import keyring.core

        monkeypatch.setattr(keyring.core, "_keyring_backend", keyring.backends.null.Keyring())
    return folder / "openai-gateway" / "login.json"


def mode(path: Path) -> int:
    return os.stat(path).st_mode & 0o777
