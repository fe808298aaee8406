"""The upstreams' API keys: where they come from, and how they stay out of sight."""

import logging
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

log = logging.getLogger("gateway.upstream")

LATER = ("keyring", "vault", "aws-sm")
SCHEME = re.compile(r"^([a-z][a-z-]*):")
# What may stand in a header: a key with a line break in it would end the header and begin another one.
VISIBLE = re.compile(r"^[\x21-\x7e]+$")


class Secret:
    """A value that prints as its origin. Only `reveal` gives it away.

    It is read once: a file that changes later changes nothing until the next start.
    """

    __slots__ = ("_origin", "_value")

    def __init__(self, value: str, origin: str) -> None:
        self._value = value
        self._origin = origin

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"<Secret {self._origin}>"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


NO_SECRET = Secret("", "none")


def read_secret_file(path: str) -> str:
    """The file's text. Warns when everybody on the machine may read it, as ssh does with private keys."""
    file = Path(path)
    if file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        log.warning("secret file is readable by others", extra={"path": path, "advice": "chmod 600"})
    return file.read_text(encoding="utf-8")


def resolve(
    reference: str, environ: Mapping[str, str], read_file: Callable[[str], str] = read_secret_file
) -> Secret:
    """The secret behind `env:NAME` or `file:/path`; `""` is no secret: nothing is sent.

    Raises ValueError, in words that never repeat a literal: a key pasted into the configuration must not end
    up in the complaint about it.
    """
    if not reference:
        return NO_SECRET
    match = SCHEME.match(reference)
    scheme, place = (match[1], reference[match.end() :]) if match else ("", "")
    if scheme == "env":
        return checked(environ.get(place), f"env:{place}", "the variable is not set")
    if scheme == "file":
        return checked(from_file(place, read_file), f"file:{place}", "the file cannot be read")
    if scheme in LATER:
        raise ValueError(f"a secret from `{scheme}:` is not supported; use `env:NAME` or `file:/path`")
    raise ValueError(
        "a key is never written in the configuration: put it in the environment (`env:NAME`) "
        "or in a file (`file:/path`)"
    )


def from_file(path: str, read_file: Callable[[str], str]) -> str | None:
    """Editors end a file with a line break; no key ends with one."""
    try:
        return read_file(path).rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        return None


def checked(value: str | None, origin: str, absent: str) -> Secret:
    if value is None:
        raise ValueError(f"no secret at {origin}: {absent}")
    if not VISIBLE.match(value):
        raise ValueError(
            f"the secret at {origin} is empty or has spaces, control or non-ASCII characters in it"
        )
    return Secret(value, origin)
