"""Changes to a body that leave every other byte of it as the client sent it.

`with_model` and `with_usage` are made at most once each, in either order, with the facts of the original
body. `with_absent` may come before them, and makes a body longer. `with_cap` comes before all: what it makes
is a new original, whose facts are read again.
"""

from collections.abc import Mapping

import msgspec

from gateway.policy.facts import Facts
from gateway.policy.members import Span, members
from gateway.policy.models import reasons

_BOUNDS = {"responses": "max_output_tokens", "completions": "max_tokens"}


def with_cap(endpoint: str, model: str, body: bytes, facts: Facts, cap: int) -> bytes:
    """The body, bounding each choice at `cap` tokens, by the name that this endpoint and model know.

    `facts` are those of this very body, which has no bound: at most a null, which is replaced. A chat's bound
    is `max_completion_tokens` for OpenAI's reasoning models, and for all others `max_tokens`, which every
    compatible server knows.
    """
    name = _BOUNDS.get(endpoint) or ("max_completion_tokens" if reasons(model) else "max_tokens")
    value = str(cap).encode()
    span = facts.spans.get(name)
    return _insert(body, b'"%b":%b' % (name.encode(), value)) if span is None else _replace(body, span, value)


def with_absent(body: bytes, facts: Facts, values: Mapping[str, bytes]) -> bytes:
    """The body, with those of these members that it does not have. A null is nothing said, and replaced.

    `values` are JSON, by names that need no escapes.
    """
    spans = _spans(body, facts)
    absent = [b'"%b":%b' % (name.encode(), value) for name, value in values.items() if name not in spans]
    null = [(spans[name], value) for name, value in values.items() if name in spans]
    for (start, end), value in sorted(null, reverse=True):
        body = _replace(body, (start, end), value) if body[start:end] == b"null" else body
    return _insert(body, b",".join(absent)) if absent else body


def with_model(body: bytes, facts: Facts, model: str) -> bytes:
    """The body, asking for `model`: its value replaced, or put in where only the path had named one."""
    value = msgspec.json.encode(model)
    span = _spans(body, facts).get("model")
    return _insert(body, b'"model":' + value) if span is None else _replace(body, span, value)


def with_usage(body: bytes, facts: Facts) -> bytes:
    """The body, with `stream_options.include_usage` true and all other stream options as they were."""
    if facts.include_usage:
        return body
    span = _spans(body, facts).get("stream_options")
    if span is None:
        return _insert(body, b'"stream_options":{"include_usage":true}')
    options = body[span[0] : span[1]]
    return _replace(body, span, b'{"include_usage":true}' if options == b"null" else _including(options))


def _including(options: bytes) -> bytes:
    span = members(options, "stream_options.").get("include_usage")
    return _insert(options, b'"include_usage":true') if span is None else _replace(options, span, b"true")


def _spans(body: bytes, facts: Facts) -> dict[str, Span]:
    """Where the values are, also in a body that the other change has been made to.

    If that one kept the size it kept every position: it replaced one value by another as long.
    """
    return dict(facts.spans) if len(body) == facts.size else members(body)


def _replace(document: bytes, span: Span, value: bytes) -> bytes:
    return b"%b%b%b" % (document[: span[0]], value, document[span[1] :])


def _insert(document: bytes, member: bytes) -> bytes:
    """The object with one member more, in front: only white space can stand before its brace."""
    at = document.index(b"{") + 1
    comma = b"" if document[at:].lstrip(b" \t\n\r").startswith(b"}") else b","
    return b"%b%b%b%b" % (document[:at], member, comma, document[at:])
