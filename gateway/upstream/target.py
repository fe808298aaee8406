"""Where a request goes: an upstream's base URL, and the paths below it.

A client decides part of the path (`/models/{id}`), so nothing here is joined or normalised: yarl's `join`
and a plain concatenation can both be talked into another host.
"""

import re
from functools import lru_cache

from yarl import URL

from gateway.errors import UnknownUrl
from gateway.policy.queries import VALID

# RFC 3986 section 3.3 and 3.4: what a path and a query are made of. No space, no backslash, no control
# character.
PATH = re.compile(r"/(?!/)(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")
# Section 5.2.4: a server removes dot segments, and is then somewhere else.
DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|\?|$)", re.IGNORECASE)


def base_url(text: str) -> URL:
    """An upstream's `base_url`, without its last slash.

    Raises ValueError. The text is not repeated: it may carry credentials.
    """
    try:
        url = URL(text.rstrip("/"))
        usable = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        raise ValueError("is no URL") from None
    if not usable:
        raise ValueError("must begin with http:// or https:// and name a host")
    if url.user is not None or url.password is not None:
        raise ValueError("must not carry credentials: put the key into api_key")
    if url.raw_query_string or url.raw_fragment:
        raise ValueError("must have neither a query nor a fragment")
    return url


def target(base: URL, path: str, query: str = "") -> URL:
    """The URL of `path` below `base`, exactly as written, and so is `query` (without its question mark).

    Raises `UnknownUrl` rather than leave the base.
    """
    url = _below(base, path)
    if not query:
        return url
    if "?" in path or not VALID.fullmatch(query):
        raise UnknownUrl("The query cannot be sent to an upstream as it is written.")
    return URL(f"{url}?{query}", encoded=True)


@lru_cache(maxsize=1024)
def _below(base: URL, path: str) -> URL:
    if not PATH.fullmatch(path) or DOT_SEGMENT.search(path):
        raise UnknownUrl("The path cannot be sent to an upstream as it is written.")
    url = URL(f"{base}{path}", encoded=True)
    below = url.raw_path.startswith(base.raw_path.rstrip("/") + "/")
    if url.origin() != base.origin() or url.user is not None or not below:
        raise UnknownUrl("The path leads away from the upstream.")
    return url
