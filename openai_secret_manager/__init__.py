"""The key that this client has for its gateway, for programs that ask for it in two lines:

    import openai_secret_manager
    secret = openai_secret_manager.get_secret("openai")

`secret["api_key"]` is the key and `secret["api_base"]` the gateway's address. This package needs the standard
library alone, and no particular version of `openai`.
"""

from __future__ import annotations

import os
import re
from typing import Dict

from openai_secret_manager import login
from openai_secret_manager.errors import SecretNotFound

__all__ = ["Secret", "SecretNotFound", "get_secret"]

API_BASE = "http://127.0.0.1:8080/v1"  # where a gateway listens that nobody has configured
_KEY = "GATEWAY_API_KEY"
_ADDRESSES = ("GATEWAY_BASE_URL", "OPENAI_API_BASE", "OPENAI_BASE_URL")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class Secret(Dict[str, str]):
    """`api_key` and `api_base`. It prints without the key."""

    def __repr__(self) -> str:
        return f"<Secret openai at {self.get('api_base')}>"


def get_secret(name: str) -> Secret:
    """The key and the address of this client's gateway; `name` is "openai", the only one there is.

    The key in GATEWAY_API_KEY comes first, for the gateway in GATEWAY_BASE_URL, OPENAI_API_BASE or
    OPENAI_BASE_URL, else that of the login, else the one on this machine. Without such a key it is what
    `gateway login` keeps, for the gateway that it was kept for and no other. Raises SecretNotFound.
    """
    if name != "openai":
        raise SecretNotFound('there is no secret of that name: the only one is "openai"')
    key = os.environ.get(_KEY, "").strip()
    if key:
        return Secret(api_key=_sendable(key), api_base=_address())
    kept = login.kept()
    if kept is None:
        raise SecretNotFound(f"there is no key for the gateway: run `gateway login`, or set {_KEY}")
    return Secret(api_key=kept.api_key, api_base=kept.api_base)


def _sendable(key: str) -> str:
    """HTTP libraries quote a header that they refuse, and the key with it: better refuse it here."""
    if not _VISIBLE.fullmatch(key):
        raise SecretNotFound(f"{_KEY} has characters in it that no key has; was it pasted whole?")
    return key


def _address() -> str:
    named = (os.environ.get(variable, "").strip() for variable in _ADDRESSES)
    return (
        next((address.rstrip("/") for address in named if address), None) or login.kept_address() or API_BASE
    )
