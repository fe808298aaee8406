"""The query of a request, as it goes upstream: the client's own bytes, or a refusal."""

import re
from urllib.parse import unquote_plus

from gateway.errors import InvalidRequest

MAX_QUERY = 8 * 1024  # bytes: nginx's and Apache's room for a whole request line

# RFC 3986 section 3.4, and the brackets of arrays, which OpenAI's libraries leave as they are.
VALID = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]]|%[0-9A-Fa-f]{2})*")
_OURS = "api-version"  # Azure's: it says which of its own interfaces is meant
_KEY = re.compile(r"sk-gw-|(?<![A-Za-z0-9])sk-[A-Za-z0-9_\-]{16}")
_KEY_NAMES = frozenset({"key", "api_key", "api-key", "apikey", "access_token", "authorization"})


def upstream_query(query: str) -> str:
    """The query without `api-version`: order, repetitions, brackets and empty values are as they were.

    `query` is as it came on the wire, without its question mark. Raises InvalidRequest (`invalid_query`) for
    characters that no query has, for more than `MAX_QUERY`, and for whatever looks like a key: a query is
    written to logs on its way.
    """
    if not query:
        return ""
    if len(query) > MAX_QUERY:
        raise _invalid(f"The query is longer than {MAX_QUERY} bytes.")
    if not VALID.fullmatch(query):
        raise _invalid("The query has characters that it must not have; percent-encode them.")
    if _has_key(query):
        raise _invalid("The query holds a key. Send it in the Authorization header alone.")
    parts = query.split("&")
    kept = [part for part in parts if _name(part) != _OURS]
    return query if len(kept) == len(parts) else "&".join(kept)


def _has_key(query: str) -> bool:
    once = _decoded(query)
    if _KEY.search(once) or _KEY.search(_decoded(once)):
        return True
    return any(_name(part) in _KEY_NAMES for part in query.split("&"))


def _name(part: str) -> str:
    return _decoded(part.partition("=")[0]).lower()


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="replace")


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_query")
