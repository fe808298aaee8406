"""From a request line to the operation that it names.

What is not in the table does not exist: a path is looked up, never passed on, and the path that an upstream
sees is built from the table. `endpoints.unknown = "forward"` adds to it, one request at a time, what nobody
knows; that path is rebuilt as well.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from gateway.errors import MethodNotAllowed, UnknownUrl
from gateway.policy.operation import Body, Charge, Endpoint
from gateway.policy.operations import GROUPS, TABLE
from gateway.policy.paths import Methods, Tree

__all__ = ["ALL", "GROUPS", "TABLE", "UNKNOWN", "Body", "Charge", "Endpoint", "find", "upstream_path"]

UNKNOWN = "unknown"  # the name and group of what is passed on although the table does not have it
ALL = "all"  # opens every group

# OpenAI's paths before 2023, which its Python library 0.28 still uses when it is told an `engine`; and
# Azure's, where the path names the deployment for whatever its libraries list in `_deployments_endpoints`.
_OLD = {
    f"/engines/{{engine}}{path}": path
    for path in ("/completions", "/chat/completions", "/embeddings", "/edits")
} | {
    f"/deployments/{{deployment}}{path}": path
    for path in (
        *("/completions", "/chat/completions", "/embeddings"),
        *("/audio/transcriptions", "/audio/translations", "/audio/speech"),
        *("/images/generations", "/images/edits"),
    )
}

_SAFE_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@/]|%[0-9A-Fa-f]{2}){1,1024}")
# OpenAI's and Azure's, whose next generation has both. More slashes: base addresses with one at their end.
_ROOT = re.compile(r"/v1/+(?:openai/+)?|/{1,2}openai/+(?:v1/+)?")
_KEY = re.compile(r"sk-[A-Za-z0-9_\-]+")
# Of an unknown path: what ids and words are made of, and nothing that a server might read twice.
_SEGMENT = re.compile(r"[A-Za-z0-9_~@:\-][A-Za-z0-9_~@:.\-]*")
_ROOTS = ("v1", "openai")  # below themselves, where an upstream's base address lacks them
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_SOCKET = "WebSocket"

_TREE = Tree()
_FIXED: dict[str, Methods] = {}  # the whole path, with its root: what most requests ask for


def _plant() -> None:
    paths: dict[str, dict[str, Endpoint]] = {}
    for row in TABLE:
        paths.setdefault(row.path, {})[_SOCKET if row.socket else row.method] = row
    for path, methods in (paths | {old: paths[new] for old, new in _OLD.items()}).items():
        _TREE.add(path, methods)
        if "{" not in path:
            _FIXED["/v1" + path] = methods


_plant()


def find(
    method: str, path: str, *, upgrade: bool = False, forward: bool = False
) -> tuple[Endpoint, dict[str, str]]:
    """The operation that a request line names, and the decoded arguments in its path.

    `path` is as it came on the wire: percent-encoded, without its query. An argument `engine` or `deployment`
    is the model. `upgrade`: the request asks for a WebSocket, and gets one where there is one. `forward`:
    what nobody knows is an operation named `unknown`, in the group of what it stands under or, where that is
    new too, in the group `unknown`.

    Raises UnknownUrl for whatever is not in the table or plays tricks, MethodNotAllowed with `allow`.
    """
    methods, args = (_FIXED[path], dict[str, str]()) if path in _FIXED else _look_up(method, path, forward)
    endpoint = methods.get(_SOCKET) if upgrade and method == "GET" else None
    endpoint = endpoint or methods.get(method)
    if endpoint is not None:
        return endpoint, args
    if forward and method in _METHODS:
        return _made(method, path)
    raise _not_allowed(method, path, methods)


def upstream_path(endpoint: Endpoint, args: Mapping[str, str]) -> str:
    """The path below an upstream's base URL: the table's, with its places filled in and quoted."""
    return endpoint.path.format_map({name: quote(value, safe=":@") for name, value in args.items()})


def _look_up(method: str, path: str, forward: bool) -> tuple[Methods, dict[str, str]]:
    root = _ROOT.match(path)
    if root is None or not _SAFE_PATH.fullmatch(path):
        raise _unknown(method, path)
    methods, raw = _TREE.find(path[root.end() :].split("/"))
    args = {name: _decoded(value) for name, value in raw.items()}
    if methods is not None and all(args.values()):
        return methods, args
    if forward and methods is None and method in _METHODS:
        return {}, {}
    raise _unknown(method, path)


def _decoded(raw: str) -> str:
    """The argument, or nothing if it could be taken for more than a name."""
    try:
        text = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return ""
    # A `%` left over was encoded twice: whoever decodes it next would see something else than we did.
    forbidden = not text.isprintable() or ".." in text or any(sign in text for sign in ";\\%?#")
    return "" if forbidden or any(part in ("", ".") for part in text.split("/")) else text


def _made(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    """An operation for what the table does not have, out of plain segments alone.

    Places that the table knows on the way there are places here, so that whose objects they are is asked.
    """
    root = _ROOT.match(path)
    segments = [unquote(raw) for raw in path[root.end() if root else 0 :].split("/")]
    plain = all(_SEGMENT.fullmatch(segment) and ".." not in segment for segment in segments)
    if not plain or segments[0] in _ROOTS or _is_known(method, segments):
        raise _unknown(method, path)
    pattern, args = _TREE.follow(segments)
    groups = _TREE.groups(segments[0]) or {UNKNOWN}
    group = min(groups - {"inference"}, default="inference")
    # What can be made by a POST is listed by a GET: one's own alone.
    known, _ = _TREE.find(segments)
    made = [row.creates for row in (known or {}).values() if row.creates and method == "GET"]
    return Endpoint(UNKNOWN, method, pattern, group, Body.FORM, lists="".join(made[:1])), args


def _is_known(method: str, segments: list[str]) -> bool:
    """Whether a server that decodes it, and perhaps does not mind its case, sees what the table has."""
    methods, _ = _TREE.find(segments)
    if methods is not None:
        return method in methods
    lower = [segment.lower() for segment in segments]
    alike = _TREE.find(lower)[0] is None and _TREE.follow(lower)[1].keys() == _TREE.follow(segments)[1].keys()
    return not alike


def _not_allowed(method: str, path: str, methods: Methods) -> UnknownUrl | MethodNotAllowed:
    known = sorted(methods.keys() - {_SOCKET})
    if not known:
        return UnknownUrl(
            f"Unknown URL: {_shown(method, path)}. This URL takes WebSockets alone: connect with wss://."
        )
    allow = ", ".join(known)
    return MethodNotAllowed(
        f"Not allowed: {_shown(method, path)}. This URL takes {allow}.", headers=(("allow", allow),)
    )


def _unknown(method: str, path: str) -> UnknownUrl:
    return UnknownUrl(f"Unknown URL: {_shown(method, path)}. {_advice(path)}")


def _advice(path: str) -> str:
    """What is likely to be wrong with the client's base address."""
    if _SAFE_PATH.fullmatch(path) and _TREE.find(path.lstrip("/").split("/"))[0] is not None:
        return "The path lacks its /v1: put it at the end of base_url."
    if path.startswith("/v1/v1/"):
        return "The path has /v1 twice: leave one out of base_url."
    return "This gateway serves the OpenAI API under /v1."


def _shown(method: str, path: str) -> str:
    """Short, printable, and without anything that looks like a key."""
    line = re.sub(r"[^A-Za-z0-9\-._~%/: ]", "?", f"{method[:16]} {path[:256]}")
    line = _KEY.sub("sk-...", line)
    return line if len(line) <= 100 else line[:100] + "..."
