"""When two questions are the same question, and who may share the answer."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from gateway.policy.jsonbytes import parse
from gateway.policy.members import repeated

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

# Tools that the client itself runs. All others look at the world, which changes.
_OWN_TOOLS: Final = ("function", "custom", "local_shell", "apply_patch")

# `gpt-4o-search-preview`, `gpt-5-search-api`: models that search the web without being told to.
_SEARCHER: Final = "-search-"

# With these an answer rests on something that is kept elsewhere, or is kept elsewhere itself.
_STATEFUL: Final = ("previous_response_id", "conversation", "background", "prompt")

_BREADTH: Final = ("private", "team", "all")
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def canonical(endpoint: str, body: bytes, model: str) -> bytes | None:
    """The question in `body`, put to `model`, in its one canonical form; None when it is not to be cached.

    The form is the same for two bodies exactly if they differ in nothing but white space, the order of
    members, the spelling of strings and floats, and the members that never change an answer.
    """
    silent = _SILENT.get(endpoint)
    asked = parse(_OBJECT, body)
    if silent is None or asked is None or not _repeatable(endpoint, asked, model):
        return None
    try:
        if repeated(body, asked) is not None:
            return None  # readers differ in which of the two they believe
        question = {name: value for name, value in asked.items() if name not in silent}
        return msgspec.json.encode(question | {"model": model}, order="sorted")
    except RecursionError:  # nested so deep that it could just be read
        return None


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
    names = sorted(set(upstreams))
    headers = [part for pair in vary for part in pair]
    digest = hashlib.blake2b(key=secret, digest_size=32, person=b"gateway-question")
    for group in ([scope], names, [endpoint], headers):
        digest.update(_framed([text.encode(errors="surrogatepass") for text in group]))
    digest.update(_framed([question]))
    return digest.digest()


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
    if not _only_own_tools(asked.get("tools")) or _SEARCHER in model:
        return False
    if endpoint == "responses":
        return asked.get("store") is False and not any(asked.get(name) for name in _STATEFUL)
    if endpoint == "chat.completions":
        written = asked.get("modalities") in (None, ["text"]) and asked.get("audio") is None
        return written and not asked.get("store") and asked.get("web_search_options") is None
    return True


def _only_own_tools(tools: Any) -> bool:
    if tools is None:
        return True
    return isinstance(tools, list) and all(
        isinstance(tool, dict) and tool.get("type", "function") in _OWN_TOOLS for tool in tools
    )


def _framed(parts: Sequence[bytes]) -> bytes:
    """Count and lengths first, so that no two sequences look the same."""
    frame = [len(parts).to_bytes(4, "big")]
    for part in parts:
        frame += len(part).to_bytes(8, "big"), part
    return b"".join(frame)
