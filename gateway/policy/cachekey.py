"""When two questions are the same question, and who may share the answer."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from gateway.policy.document import plain
from gateway.policy.jsonbytes import parse
from gateway.policy.members import repeated
from gateway.policy.tools import only_own

Widest = Literal["private", "team", "all"]
Wish = Literal["use", "refresh", "bypass"]

_CHAT: Final = frozenset(
    {
        *("stream", "stream_options"),
        *("user", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
    }
)

# The top-level members that say how to deliver an answer, or for whom, and never change what it says: see the
# request schemas of OpenAI's API description. What is not named here counts, known or not. Embeddings keep
# `encoding_format`, which changes the body; a response echoes all that a chat completion does not.
_SILENT: Final = {
    "chat.completions": _CHAT,
    "completions": _CHAT,
    "embeddings": frozenset({"user"}),
    "moderations": frozenset[str](),
    "responses": frozenset({"stream", "stream_options"}),
}

# `gpt-4o-search-preview`, `gpt-5-search-api`: models that search the web without being told to.
_SEARCHER: Final = "-search-"

# With these an answer rests on something that is kept elsewhere, or is kept elsewhere itself.
_STATEFUL: Final = ("previous_response_id", "conversation", "background", "prompt")

_BREADTH: Final = ("private", "team", "all")
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_sorted = msgspec.json.Encoder(order="sorted").encode
_ONE: Final = (1).to_bytes(4, "big")  # as many parts as `_framed` says that there are


def canonical(endpoint: str, body: bytes, model: str) -> bytes | None:
    """The question in `body`, put to `model`, in its one canonical form; None when it is not to be cached.

    The form is the same for two bodies exactly if they differ in nothing but white space, the order of
    members, the spelling of strings and floats, and the members that never change an answer.
    """
    silent = _SILENT.get(endpoint)
    if silent is None:
        return None
    read = plain(body)
    asked = read if read is not None else parse(_OBJECT, body)
    if asked is None or not _repeatable(endpoint, asked, model):
        return None
    try:
        if read is None and repeated(body, asked) is not None:
            return None  # readers differ in which of the two they believe
        return _sorted(_question(asked, silent, model))
    except RecursionError:  # nested so deep that it could just be read
        return None


def _question(asked: dict[str, Any], silent: frozenset[str], model: str) -> dict[str, Any]:
    if asked.get("model") == model and silent.isdisjoint(asked):
        return asked
    return {name: value for name, value in asked.items() if name not in silent} | {"model": model}


def cache_key(
    secret: bytes,
    *,
    scope: str,
    upstreams: Sequence[str],
    endpoint: str,
    question: bytes,
    vary: Sequence[tuple[str, str]],
) -> bytes:
    """The key, 32 bytes, of a canonical question within a scope; `secret` is at most 64 bytes.

    `upstreams` are those that may answer, as a set. `vary` are the headers that change an answer, in an order
    of the caller's. Without the secret nobody can tell from a key what was asked.
    """
    digest = _begun(secret, scope, tuple(upstreams), endpoint, tuple(vary)).copy()
    digest.update(_ONE + len(question).to_bytes(8, "big") + question)
    return digest.digest()


@lru_cache(maxsize=1024)
def _begun(
    secret: bytes, scope: str, upstreams: tuple[str, ...], endpoint: str, vary: tuple[tuple[str, str], ...]
) -> hashlib.blake2b:
    """The digest of all but the question, which most questions of a client have in common. To be copied."""
    names = sorted(set(upstreams))
    headers = [part for pair in vary for part in pair]
    digest = hashlib.blake2b(key=secret, digest_size=32, person=b"gateway-question")
    for group in ([scope], names, [endpoint], headers):
        digest.update(_framed([text.encode(errors="surrogatepass") for text in group]))
    return digest


def scope_of(client_id: str, team: str | None, widest: Widest, asked: str | None) -> str:
    """Who shares the answer: `key:<id>`, `team:<name>` or `all`.

    `asked` is the header x-gateway-cache-scope: it narrows `widest` and never widens it. What it says and we
    do not understand is somebody's wish for privacy, misspelt.
    """
    breadth = _BREADTH.index(widest)
    if asked is not None:
        wanted = asked.strip().lower()
        breadth = min(breadth, _BREADTH.index(wanted) if wanted in _BREADTH else 0)
    if _BREADTH[breadth] == "all":
        return "all"
    if _BREADTH[breadth] == "team" and team is not None:
        return f"team:{team}"
    return f"key:{client_id}"


def wish(headers: Mapping[str, str]) -> Wish:
    """What the client wants of the cache: `bypass` neither reads nor writes, `refresh` only writes.

    `headers` has lower-case names or ignores case. x-gateway-cache says the same as Cache-Control (RFC 9111
    section 5.2.1): the stricter of the two holds.
    """
    if not headers:
        return "use"
    said = headers.get("x-gateway-cache", "").strip().lower()
    directives = {
        part.partition("=")[0].strip() for part in headers.get("cache-control", "").lower().split(",")
    }
    if said == "bypass" or "no-store" in directives:
        return "bypass"
    if said == "refresh" or "no-cache" in directives:
        return "refresh"
    return "use"


def _repeatable(endpoint: str, asked: dict[str, Any], model: str) -> bool:
    """Does the answer rest on the question alone?"""
    if not only_own(asked.get("tools")) or _SEARCHER in model:
        return False
    if endpoint == "responses":
        return asked.get("store") is False and not any(asked.get(name) for name in _STATEFUL)
    if endpoint == "chat.completions":
        written = asked.get("modalities") in (None, ["text"]) and asked.get("audio") is None
        return written and not asked.get("store") and asked.get("web_search_options") is None
    return True


def _framed(parts: Sequence[bytes]) -> bytes:
    """Count and lengths first, so that no two sequences look the same."""
    frame = [len(parts).to_bytes(4, "big")]
    for part in parts:
        frame += len(part).to_bytes(8, "big"), part
    return b"".join(frame)
