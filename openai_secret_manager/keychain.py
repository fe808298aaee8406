"""The system's keyring, by way of the package `keyring`, which need not be there."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, Iterator

from openai_secret_manager.errors import SecretNotFound

SERVICE = "openai-gateway"
# keyring's own line between a backend that it recommends and one for those who insist (its plain-text file).
_RECOMMENDED = 1


def usable() -> bool:
    """Whether the package is installed here and has found a backend that it recommends."""
    return _package() is not None


def put(name: str, secret: str) -> None:
    """Keep `secret` under `name`. Raises SecretNotFound when the keyring refuses."""
    with _reached() as package:
        package.set_password(SERVICE, name, secret)


def get(name: str) -> str | None:
    """What is kept under `name`. Raises SecretNotFound when the keyring cannot be reached or refuses."""
    with _reached() as package:
        found: str | None = package.get_password(SERVICE, name)
        return found


def delete(name: str) -> None:
    """Forget what is kept under `name`, if anything is. Raises SecretNotFound as `get` does."""
    with _reached() as package, contextlib.suppress(package.errors.PasswordDeleteError):
        package.delete_password(SERVICE, name)


def _package() -> Any:
    """The package `keyring`; None where it is missing or nothing stands behind it."""
    try:
        package = importlib.import_module("keyring")
        recommended = package.get_keyring().priority >= _RECOMMENDED
    except (ImportError, RuntimeError):  # RuntimeError: a backend is configured that does not run here
        return None
    return package if recommended else None


@contextlib.contextmanager
def _reached() -> Iterator[Any]:
    package = _package()
    if package is None:
        raise SecretNotFound(
            "the key is in the system's keyring, and this Python cannot reach that: install the package "
            "`keyring` here, run `gateway login --no-keyring`, or set GATEWAY_API_KEY"
        )
    try:
        yield package
    except package.errors.KeyringError as error:
        raise SecretNotFound(
            f"the system's keyring refused ({type(error).__name__}): unlock it, run "
            "`gateway login --no-keyring`, or set GATEWAY_API_KEY"
        ) from None
