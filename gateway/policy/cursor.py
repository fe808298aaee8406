"""Where a list goes on, told to somebody who must not learn the id of the item that stands there.

A page of which nothing is left but has more behind it ends at somebody else's item. Its id is handed out
encrypted, and bound to whom it was handed out: the same item has the same cursor for them, always.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, unquote_plus

from gateway.errors import InvalidRequest

_PREFIX: Final = "gwpage_"
_TAG: Final = 16  # bytes
_BLOCK: Final = 64  # bytes: the most that BLAKE2b makes
_TURNERS: Final = frozenset({"after", "before"})


def sealed(secret: bytes, owner: str, id: str) -> str:
    """The cursor that stands for this id. `secret` has at most 64 bytes."""
    text = id.encode(errors="surrogatepass")
    tag = _tag(secret, owner, text)
    return _PREFIX + urlsafe_b64encode(tag + _veiled(secret, tag, text)).decode().rstrip("=")


def opened_in(secret: bytes, owner: str, query: str) -> str:
    """The query (percent-encoded) with the ids that its cursors stand for; all else stays as it is.

    Raises InvalidRequest for a cursor that this owner has not been given.
    """
    if _PREFIX not in unquote_plus(query):
        return query
    return "&".join(_opened(secret, owner, part) for part in query.split("&"))


def _opened(secret: bytes, owner: str, part: str) -> str:
    name, _, value = part.partition("=")
    value = unquote_plus(value)
    if unquote_plus(name) not in _TURNERS or not value.startswith(_PREFIX):
        return part
    return f"{name}={quote(_id(secret, owner, value.removeprefix(_PREFIX)), safe='')}"


def _id(secret: bytes, owner: str, cursor: str) -> str:
    try:
        data = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raise _unknown() from None
    tag, text = data[:_TAG], _veiled(secret, data[:_TAG], data[_TAG:])
    if _tag(secret, owner, text) != tag or sealed(secret, owner, _text(text)) != _PREFIX + cursor:
        raise _unknown()
    return _text(text)


def _text(data: bytes) -> str:
    return data.decode(errors="surrogatepass")


def _tag(secret: bytes, owner: str, text: bytes) -> bytes:
    """Of the owner's length too, so that no two pairs look the same."""
    whose = owner.encode(errors="surrogatepass")
    framed = len(whose).to_bytes(4, "big") + whose + text
    return hashlib.blake2b(framed, key=secret, digest_size=_TAG, person=b"gateway-cursor-t").digest()


def _veiled(secret: bytes, tag: bytes, text: bytes) -> bytes:
    """Encrypted, or decrypted: the tag is a nonce that no other text has."""
    return bytes(one ^ other for one, other in zip(text, _stream(secret, tag, len(text)), strict=True))


def _stream(secret: bytes, tag: bytes, length: int) -> Iterator[int]:
    blocks = b"".join(
        hashlib.blake2b(tag + number.to_bytes(4, "big"), key=secret, person=b"gateway-cursor-s").digest()
        for number in range(-(-length // _BLOCK))
    )
    return iter(blocks[:length])


def _unknown() -> InvalidRequest:
    return InvalidRequest("There is no such page: begin the list again.", code="invalid_query", param="after")
