"""The operations of the OpenAI API that the gateway knows, and what each of them is like.

What is not in the table does not exist: a path is looked up, never passed on, and the path that an upstream
sees is built from the table.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from gateway.errors import MethodNotAllowed, UnknownUrl


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation. `path` is the pattern below `/v1`; `name` is its label in logs and metrics."""

    name: str
    method: str
    path: str
    group: str
    body: bool  # a JSON body is expected
    streams: bool
    cacheable: bool
    metered: bool  # its answer says what it used


def _post(name: str, path: str, *, streams: bool, metered: bool = True) -> Endpoint:
    return Endpoint(name, "POST", path, "inference", True, streams, True, metered)


def _get(name: str, path: str) -> Endpoint:
    return Endpoint(name, "GET", path, "inference", False, False, False, False)


TABLE: tuple[Endpoint, ...] = (
    _post("chat.completions", "/chat/completions", streams=True),
    _post("completions", "/completions", streams=True),
    _post("embeddings", "/embeddings", streams=False),
    _post("responses", "/responses", streams=True),
    _post("moderations", "/moderations", streams=False, metered=False),
    _get("models.list", "/models"),
    _get("models.retrieve", "/models/{model}"),
)

# OpenAI's paths before 2023, which its Python library 0.28 still uses when it is told an `engine`.
_ENGINES = {
    "/engines/{engine}/completions": "/completions",
    "/engines/{engine}/chat/completions": "/chat/completions",
    "/engines/{engine}/embeddings": "/embeddings",
}

_Methods = dict[str, Endpoint]

_SAFE_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@/]|%[0-9A-Fa-f]{2}){1,1024}")
_ROOT = re.compile(r"/v1/{1,2}(?=[^/])")  # the second slash: `api_base` with a slash at its end
_KEY = re.compile(r"sk-[A-Za-z0-9_\-]+")
_PLACE = re.compile(r"\\{(\w+)\\}")


def _by_path(table: Iterable[Endpoint]) -> dict[str, _Methods]:
    paths: dict[str, _Methods] = {}
    for endpoint in table:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return paths | {old: paths[new] for old, new in _ENGINES.items() if new in paths}


def _matcher(pattern: str) -> re.Pattern[str]:
    """A place in braces holds one segment. A model's name at the end may hold slashes (`org/model`)."""

    def place(match: re.Match[str]) -> str:
        last_model = match[1] == "model" and match.end() == len(escaped)
        return f"(?P<{match[1]}>{'.+' if last_model else '[^/]+'})"

    escaped = re.escape(pattern)
    return re.compile(_PLACE.sub(place, escaped))


_PATHS = _by_path(TABLE)
_FIXED = {path: methods for path, methods in _PATHS.items() if "{" not in path}
# By first segment, so that a look-up tries a handful of patterns however long the table grows.
_OPEN: dict[str, list[tuple[re.Pattern[str], _Methods]]] = {}
for _path, _methods in _PATHS.items():
    if "{" in _path:
        _OPEN.setdefault(_path.split("/")[1], []).append((_matcher(_path), _methods))


def find(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    """The operation that a request line names, and the decoded arguments in its path.

    `path` is as it came on the wire: percent-encoded, without its query. An argument `engine` is the model.
    Raises UnknownUrl for whatever is not in the table or plays tricks, MethodNotAllowed with `allow`.
    """
    root = _ROOT.match(path)
    if root is None or not _SAFE_PATH.fullmatch(path):
        raise _unknown(method, path)
    methods, args = _look_up("/" + path[root.end() :])
    if methods is None:
        raise _unknown(method, path)
    endpoint = methods.get(method)
    if endpoint is None:
        allow = ", ".join(sorted(methods))
        raise MethodNotAllowed(
            f"Not allowed: {_shown(method, path)}. This URL takes {allow}.", headers=(("allow", allow),)
        )
    return endpoint, args


def _look_up(path: str) -> tuple[_Methods | None, dict[str, str]]:
    methods = _FIXED.get(path)
    if methods is not None:
        return methods, {}
    for pattern, methods in _OPEN.get(path.split("/", 2)[1], ()):
        match = pattern.fullmatch(path)
        if match is not None:
            args = {name: _decoded(raw) for name, raw in match.groupdict().items()}
            return (methods, args) if all(args.values()) else (None, {})
    return None, {}


def _decoded(raw: str) -> str:
    """The argument, or nothing if it could be taken for more than a name."""
    try:
        text = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return ""
    # A `%` left over was encoded twice: whoever decodes it next would see something else than we did.
    forbidden = not text.isprintable() or ".." in text or any(sign in text for sign in ";\\%?#")
    return "" if forbidden or any(part in ("", ".") for part in text.split("/")) else text


def upstream_path(endpoint: Endpoint, args: Mapping[str, str]) -> str:
    """The path below an upstream's base URL: the table's, with its places filled in and quoted."""
    return endpoint.path.format_map({name: quote(value, safe=":@") for name, value in args.items()})


def _unknown(method: str, path: str) -> UnknownUrl:
    return UnknownUrl(f"Unknown URL: {_shown(method, path)}. This gateway serves the OpenAI API under /v1.")


def _shown(method: str, path: str) -> str:
    """Short, printable, and without anything that looks like a key."""
    line = re.sub(r"[^A-Za-z0-9\-._~%/: ]", "?", f"{method[:16]} {path[:256]}")
    line = _KEY.sub("sk-...", line)
    return line if len(line) <= 100 else line[:100] + "..."
