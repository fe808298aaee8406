"""What `gateway login` keeps: a client key, and the gateway that it is for.

A file in the user's configuration folder names the gateway. The key is in that file, which then nobody else
can read, or in the system's keyring, which then the file says.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openai_secret_manager import keychain
from openai_secret_manager.errors import SecretNotFound

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Login:
    """`api_base` is the gateway's address, with its `/v1`; `api_key` a key of that gateway."""

    api_base: str
    api_key: str = field(repr=False)


def path() -> Path:
    """Where the file is, or would be: in XDG_CONFIG_HOME, else in `~/.config`. Raises SecretNotFound."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(folder):  # XDG Base Directory Specification: a relative one is to be ignored
        folder = os.path.expanduser("~/.config")
    if not os.path.isabs(folder):
        raise SecretNotFound("this user has no home folder: set XDG_CONFIG_HOME, or GATEWAY_API_KEY")
    return Path(folder, "openai-gateway", "login.json")


def kept() -> Login | None:
    """The login that is kept; None when there is none. Raises SecretNotFound when it may not be used."""
    document = _guarded()
    if document is None:
        return None
    base = document["api_base"]
    key = keychain.get(base) if document.get("keyring") else document.get("api_key")
    if not isinstance(key, str) or not key:
        raise SecretNotFound(f"the key for {base} is gone: run `gateway login` again, or set GATEWAY_API_KEY")
    return Login(base, key)


def kept_address() -> str | None:
    """The gateway of the login that is kept. The keyring, which may ask its user, is left alone."""
    document = _guarded()
    return None if document is None else str(document["api_base"])


def keep(login: Login, *, keyring: bool = True) -> str:
    """Keep it in place of any other: in the keyring where one is usable and wanted.

    Returns where it is now, in words. Raises SecretNotFound when the keyring refuses, and OSError when the
    file cannot be written.
    """
    before = _before()
    inside = keyring and keychain.usable()
    if inside:
        keychain.put(login.api_base, login.api_key)
        _write({"api_base": login.api_base, "keyring": True})
    else:
        _write({"api_base": login.api_base, "api_key": login.api_key})
    if before.get("keyring") and not (inside and before["api_base"] == login.api_base):
        keychain.delete(before["api_base"])
    return "the system's keyring" if inside else str(path())


def forget() -> bool:
    """Forget the login, in the keyring too; whether there was one. Raises SecretNotFound and OSError."""
    before = _before()
    if before.get("keyring"):
        keychain.delete(before["api_base"])
    try:
        path().unlink()
    except FileNotFoundError:
        return False
    return True


def _guarded() -> dict[str, Any] | None:
    """The document, unless others can get at it: they could read the key, or have it sent elsewhere."""
    file = path()
    document = _document(file)
    if document is not None and os.name == "posix" and file.stat().st_mode & _OTHERS:
        raise SecretNotFound(
            f"{file} is open to others and therefore not used: run `chmod 600 {file}` if nobody "
            "can have read the key, or else `gateway login` with a new one"
        )
    return document


def _before() -> dict[str, Any]:
    """The document that is about to go, whoever could read it; empty when there is none that makes sense."""
    try:
        return _document(path()) or {}
    except SecretNotFound:
        return {}


def _document(file: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretNotFound(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("api_base"), str):
        raise SecretNotFound(f"{file} is not what `gateway login` writes: run that again")
    return document


def _write(document: dict[str, Any]) -> None:
    """Replace the file in one step; it is never open to others, not for a moment."""
    file = path()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, made = tempfile.mkstemp(dir=file.parent, prefix=".login-")  # mkstemp: 0600
    try:
        with open(descriptor, "w", encoding="utf-8") as writing:
            json.dump(document, writing)
        os.replace(made, file)
    except BaseException:
        os.unlink(made)
        raise
