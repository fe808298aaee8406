"""Which headers cross, and how. Both lists are closed: what they do not name stays on its side."""

import re
from collections.abc import Mapping

from gateway.errors import InvalidRequest
from gateway.policy.operation import Body, Endpoint

# Of a client's. Neither its user-agent nor the x-stainless-* telemetry of OpenAI's libraries: they describe a
# person's machine, and the gateway is the upstream's client.
_TO_UPSTREAM = frozenset({"accept", "content-type", "idempotency-key", "openai-beta", "x-client-request-id"})

# Of an upstream's. Its x-ratelimit-*, openai-organization and openai-project tell about the account that all
# share; set-cookie and alt-svc are meant for the gateway.
_TO_CLIENT = frozenset(
    {
        "content-language",
        "content-type",
        "deprecation",
        "link",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "sunset",
        "warning",
        "x-request-id",
        "x-should-retry",
    }
)

# Of a client's, where it asks for what the upstream keeps: parts of it, or only what it does not have yet.
_OF_DOWNLOADS = frozenset({"if-modified-since", "if-none-match", "if-range", "range"})

# Of an upstream's, where its body is passed on as it is.
_WITH_BODY = _TO_CLIENT | {
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-range",
    "etag",
    "last-modified",
    "location",
}

_TO_UPSTREAM_DOWNLOADS = _TO_UPSTREAM | _OF_DOWNLOADS

# Request headers that can change an answer: part of the cache's key.
VARY = ("openai-beta",)

_OURS = (("accept-encoding", "identity"), ("user-agent", "openai-team-gateway"))
_VALUE = re.compile(r"[\t\x20-\x7e]*")
# Without a query, and of plain names alone.
_LOCATION = re.compile(r"(?:https?://[^/\s]+)?(?:/[A-Za-z0-9_\-]+)*?(/v1(?:/[A-Za-z0-9_:\-]+)+)")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def to_upstream(
    endpoint: Endpoint, headers: Mapping[str, str], *, has_body: bool | None = None
) -> tuple[tuple[str, str], ...]:
    """What of a client's headers an upstream gets, and the gateway's own; names in lower case.

    `has_body`: whether a body comes, where that is not what the endpoint says. Identity encoding, because the
    answer's bytes are read on their way. JSON without a type is called what it was found to be; of a form,
    the type with its boundary is the client's. Raises InvalidRequest for a value that is not printable ASCII.
    """
    # A list is cut to what is its reader's: a part of the whole one, or that this is unchanged, says nothing.
    download = endpoint.method == "GET" and not endpoint.judged and not endpoint.lists
    given = _crossing(headers, _TO_UPSTREAM_DOWNLOADS if download else _TO_UPSTREAM)
    carries = endpoint.body is not Body.NONE if has_body is None else has_body
    if endpoint.body is Body.NONE and not carries:
        given.pop("content-type", None)
    elif endpoint.body is Body.JSON and carries and not given.get("content-type"):
        given["content-type"] = "application/json"
    for name, value in given.items():
        if not _is_text(value):
            raise InvalidRequest(
                f"The header '{name}' has characters that it must not have.",
                code="invalid_header",
                param=name,
            )
    return (*given.items(), *_OURS)


def to_client(headers: Mapping[str, str], *, body: bool = False) -> list[tuple[str, str]]:
    """What of an upstream's headers a client gets; names in lower case. What is no text is left out.

    `body`: with those that describe a body which is handed on as it is. A `location` is the gateway's own:
    a path below /v1, whatever the upstream has before it.
    """
    crossing = _crossing(headers, _WITH_BODY if body else _TO_CLIENT)
    if "location" in crossing:
        location = _LOCATION.fullmatch(crossing.pop("location"))
        if location is not None:
            crossing["location"] = location[1]
    return [(name, value) for name, value in crossing.items() if _is_text(value)]


def _is_text(value: str) -> bool:
    return (value.isascii() and value.isprintable()) or _VALUE.fullmatch(value) is not None


def _crossing(headers: Mapping[str, str], allowed: frozenset[str]) -> dict[str, str]:
    """Several values of one header are joined (RFC 9110 section 5.3); what `Connection` names is out."""
    crossing: dict[str, str] = {}
    hop_by_hop: list[str] = []
    for spelled, value in headers.items():
        name = spelled.lower()
        if name in allowed:
            crossing[name] = f"{crossing[name]}, {value}" if name in crossing else value
        elif name == "connection":
            hop_by_hop += value.split(",")
    for option in hop_by_hop:
        crossing.pop(option.strip().lower(), None)
    return crossing


def request_id(value: str | None, fresh: str) -> str:
    """The client's own id for this request if it is fit for a log, else `fresh`."""
    return value if value is not None and _REQUEST_ID.fullmatch(value) else fresh
