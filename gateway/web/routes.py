"""Paths of the gateway's own interfaces, looked up in a table."""

import re
from urllib.parse import unquote

from gateway.errors import MethodNotAllowed, UnknownUrl
from gateway.web.call import Call, Handler

_PLACE = re.compile(r"\\{(\w+)\\}")


class Routes:
    """`add("GET", "/admin/v1/keys/{id}", show)`; calling it calls the handler, with `args` filled in.

    Raises UnknownUrl with the words given, or MethodNotAllowed.
    """

    def __init__(self, unknown: str) -> None:
        self._unknown = unknown
        self._routes: list[tuple[re.Pattern[str], dict[str, Handler]]] = []

    def add(self, pattern: str, **handlers: Handler) -> None:
        """The handlers by method: `add("/healthz", GET=healthz)`. A place in braces is one segment."""
        expression = _PLACE.sub(r"(?P<\1>[^/]+)", re.escape(pattern))
        if "GET" in handlers:
            handlers.setdefault("HEAD", handlers["GET"])
        self._routes.append((re.compile(expression), handlers))

    async def __call__(self, call: Call) -> None:
        handlers = self._find(call)
        handler = handlers.get(call.method)
        if handler is None:
            allow = ", ".join(sorted(handlers))
            raise MethodNotAllowed(f"This URL takes {allow}.", headers=(("allow", allow),))
        await handler(call)

    def _find(self, call: Call) -> dict[str, Handler]:
        for expression, handlers in self._routes:
            match = expression.fullmatch(call.path)
            if match is not None:
                call.args = {name: unquote(raw) for name, raw in match.groupdict().items()}
                return handlers
        raise UnknownUrl(self._unknown)
