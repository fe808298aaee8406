"""The configuration as written: a TOML file, overlaid by the environment."""

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_origin

import msgspec

from gateway.configuration.complaints import Complaints
from gateway.configuration.conversion import is_record, kinds, required

Document = dict[str, Any]

_PREFIX = "GATEWAY_"

# Variables of the same prefix that are no settings: other commands and the tests read them.
OTHER_VARIABLES = frozenset(
    {
        "GATEWAY_ADMIN_KEY",
        "GATEWAY_ADMIN_URL",
        "GATEWAY_API_KEY",
        "GATEWAY_BASE_URL",
        "GATEWAY_LEGACY_PYTHON",
        "GATEWAY_LOCAL_THREADS",
        "GATEWAY_PROOF",
    }
)

# Kubernetes tells every pod about a service called "gateway" in variables of this form.
_SERVICE_LINK = re.compile(r"\w+(_SERVICE_(HOST|PORT)(_\w+)?|_PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)")


def read(path: Path, complaints: Complaints) -> Document:
    """The document in a file; empty, with a complaint, when there is none or it is no TOML."""
    try:
        text = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "there is no such path").lower()
        complaints.add(str(path), f"cannot be read: {reason}", "name a file that is there and readable")
        return {}
    return parse(text, complaints, str(path))


def parse(text: bytes, complaints: Complaints, where: str) -> Document:
    """The TOML document in `text`; empty, with a complaint, when it is none."""
    try:
        return tomllib.loads(text.decode())
    except UnicodeDecodeError as error:
        complaints.add(where, f"byte {error.start} is not UTF-8", "save the file as UTF-8")
    except RecursionError:
        complaints.add(where, "its values are nested too deeply", "write a few levels at most")
    except tomllib.TOMLDecodeError as error:
        complaints.add(where, f"this is not TOML: {error}", "mend it there")
    except ValueError:
        complaints.add(where, "a number in it is far too long", "write a shorter one")
    return {}


def overlay(document: Document, environ: Mapping[str, str], complaints: Complaints) -> None:
    """Lay the environment twins over the document: `GATEWAY_SERVER__PORT=9000` is `server.port`."""
    types = dict(kinds())
    places = {twin(where): where for where in types}
    for name, text in sorted(environ.items()):
        if not name.startswith(_PREFIX) or name in OTHER_VARIABLES or _is_service_link(name, text):
            continue
        where = places.get(name)
        if where is None:
            complaints.add(name, "there is no such setting", _nearest(name, places))
            continue
        complaints.origins[where] = name
        _place(document, where, _from_text(text, required(types[where])))


def twin(where: str) -> str:
    """The environment variable of a setting: `server.port` → `GATEWAY_SERVER__PORT`."""
    return _PREFIX + where.replace(".", "__").upper()


def _nearest(name: str, places: Mapping[str, str]) -> str:
    bare = [place.removeprefix(_PREFIX) for place in places]
    close = difflib.get_close_matches(name.removeprefix(_PREFIX), bare, 1)
    return f"did you mean {_PREFIX}{close[0]}?" if close else "docs/configuration.md lists the names"


def _is_service_link(name: str, text: str) -> bool:
    bare = name.endswith("_PORT") and text.startswith(("tcp://", "udp://"))
    return bare or _SERVICE_LINK.fullmatch(name) is not None


def _from_text(text: str, kind: Any) -> Any:
    """A variable's text as the value that a file would hold. What cannot be read stays text."""
    if kind in (int, bool):
        return _attempt(lambda: msgspec.convert(text, kind, strict=False), text)
    if get_origin(kind) in (list, dict) or is_record(kind):
        return _attempt(lambda: json.loads(text), _attempt(lambda: tomllib.loads(f"v = {text}")["v"], text))
    return text


def _attempt(parse: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return parse()
    except (ValueError, RecursionError):
        return otherwise


def _place(document: Document, where: str, value: Any) -> None:
    """Put `value` there. A section that is no table is left as it is: its conversion complains."""
    *sections, name = where.split(".")
    for section in sections:
        inner = document.setdefault(section, {})
        if not isinstance(inner, dict):
            return
        document = inner
    document[name] = value
