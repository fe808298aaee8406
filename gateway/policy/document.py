"""The JSON body of a request, decoded once for all that read it: for its facts, its question, its prompt."""

from typing import Any, Final

import msgspec

from gateway.policy.jsonbytes import parse

# Of larger bodies only what is asked for is decoded: as objects of Python they take several times the room.
LARGEST: Final = 64 * 1024

_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_encode: Final = msgspec.json.Encoder().encode


class _Latest:
    """The body that was read last, and what it is: who reads a request's body does so at once, in turn.

    One pair, so that a reader in another thread finds both or neither.
    """

    read: tuple[bytes, dict[str, Any] | None] = (b"", None)


def plain(body: bytes) -> dict[str, Any] | None:
    """The members of the object in `body`, decoded, if it is written as most clients do. Not to be changed.

    That is: written again without white space the object is the same, byte for byte. So no object in it has a
    name twice, nothing is spelt in escapes that needs none, and each number has the one spelling of its
    value. None for everything else, and for what is larger than `LARGEST`: it is to be read from its bytes.
    """
    latest, members = _Latest.read
    if body is not latest:
        members = _plain(body) if len(body) <= LARGEST else None
        _Latest.read = (body, members)
    return members


def is_plain(body: bytes) -> bool:
    """Whether that is known of `body`, because it was just read. Nothing is decoded to find out."""
    latest, members = _Latest.read
    return body is latest and members is not None


def _plain(body: bytes) -> dict[str, Any] | None:
    members = parse(_OBJECT, body)
    if members is None:
        return None
    try:
        written = _encode(members)
    except (ValueError, RecursionError):  # a number that is too long, a nesting that could just be read
        return None
    return members if written == body or written == msgspec.json.format(body, indent=-1) else None
