"""JSON from strangers: it is read into a shape, or it is nothing."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def parse(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T | None:
    """`data` in the decoder's shape; None when it is no JSON, not UTF-8, too deep or of another shape.

    Members that the shape does not name are skipped, and only their syntax is checked.
    """
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
