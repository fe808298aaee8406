"""What a session's URL and headers say, and what of them goes on to the upstream."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_plus

from gateway.errors import InvalidRequest
from gateway.policy.queries import upstream_query

_MOST_NAME: Final = 256
_VALUE = re.compile(r"[\x20-\x7e]{1,1024}")
_MODEL: Final = frozenset({"model", "deployment"})  # the second one is Azure's
_PASSED: Final = ("openai-beta", "openai-safety-identifier")
_OURS: Final = (("user-agent", "openai-team-gateway"),)


@dataclass(frozen=True, slots=True)
class Asked:
    """`model` as the client named it, `call` the call to be joined, `beta` what a subprotocol said."""

    model: str | None = None
    call: str = ""
    transcribes: bool = False
    beta: str = ""


def asked_for(query: str, beta: str = "") -> Asked:
    """What a query (percent-encoded, without its question mark) asks for.

    Raises InvalidRequest for what is no query, and for a name that decides something and comes twice.
    """
    pairs = _pairs(upstream_query(query))
    model = _one(pairs, "model") or _one(pairs, "deployment")
    if model is not None and not (0 < len(model) <= _MOST_NAME and model.isprintable()):
        raise InvalidRequest(
            f"'model' must have 1 to {_MOST_NAME} printable characters.", code="invalid_query", param="model"
        )
    return Asked(
        model=model,
        call=_one(pairs, "call_id") or "",
        transcribes=_one(pairs, "intent") == "transcription",
        beta=beta,
    )


def query_for(query: str, model: str | None) -> str:
    """The query for the upstream: the client's, with the model replaced by the one that is sent."""
    kept = []
    for part in upstream_query(query).split("&"):
        name = unquote_plus(part.partition("=")[0])
        if not part or name in _MODEL:
            continue
        kept.append(part)
    named = [] if model is None else [f"model={quote(model, safe=':@')}"]
    return "&".join([*named, *kept])


def headers_for(headers: Mapping[str, str], asked: Asked, identity: str = "") -> tuple[tuple[str, str], ...]:
    """What of a client's headers an upstream gets; `identity` where it names nobody itself.

    Raises InvalidRequest for what is no plain text.
    """
    given = {name: headers[name] for name in _PASSED if headers.get(name)}
    if asked.beta:
        given.setdefault("openai-beta", asked.beta)
    if identity:
        given.setdefault("openai-safety-identifier", identity)
    for name, value in given.items():
        if not _VALUE.fullmatch(value):
            raise InvalidRequest(
                f"The header '{name}' has characters that it must not have.",
                code="invalid_header",
                param=name,
            )
    return (*given.items(), *_OURS)


def _pairs(query: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in parts]


def _one(pairs: Sequence[tuple[str, str]], name: str) -> str | None:
    values = [value for given, value in pairs if given == name]
    if len(values) > 1:
        raise InvalidRequest(f"The query names '{name}' twice.", code="invalid_query", param=name)
    return values[0] if values else None
