"""What a JSON body says by its members, however deep they stand.

Two decoders would be one too many: whoever asks what a body names gets every member of every object, those
that occur twice included, because readers differ in which of the two they believe.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Final, TypeVar

from gateway.errors import InvalidRequest
from gateway.policy.document import is_plain

_T = TypeVar("_T")

# Whose values are the client's own invention, or repeat what an answer said and open nothing.
OPAQUE: Final = frozenset(
    {"metadata", "attributes", "filters", "parameters", "input_schema", "schema", "item_schema", "arguments"}
    | {"headers", "annotations", "results", "logit_bias", "default", "examples", "enum"}
)
# Here the names of members are the client's own, and the values are not: a prompt's variables.
_NAMED_BY_CLIENT: Final = "variables"
# So is, in the `source` of an eval, the data that it brings along.
_DATA: Final = "content"

# Letters that are spelt as numbers, behind which a name could hide.
_SPELT: Final = re.compile(rb"\\u00[2-7]")


def _is_spelt(body: bytes) -> bool:
    return not is_plain(body) and _SPELT.search(body) is not None


def naming(names: Iterable[str]) -> Callable[[bytes], bool]:
    """Whether a body may have a member of one of these names: one search, without decoding it.

    A name in quotes before a colon; inside of a string its closing quote has a backslash before it. Grouped
    by their first letters, which is twice as fast.
    """
    groups = (
        b"%b(?:%b)" % (letter.encode(), b"|".join(name[1:].encode() for name in group))
        for letter, group in groupby(sorted(names), key=lambda name: name[0])
    )
    pattern = re.compile(rb'"(?:' + b"|".join(groups) + rb')"[ \t\n\r]*:')
    return lambda body: pattern.search(body) is not None or _is_spelt(body)


def is_veiled(data: bytes) -> bool:
    """Whether these bytes are an object of JSON in another encoding than UTF-8, or behind a byte order mark.

    Some servers read those as well (Python's `json.loads` does), and nothing here looks into them.
    """
    encoding = json.detect_encoding(data)
    if encoding == "utf-8" or not data[:64].decode(encoding, "ignore").lstrip("\ufeff \t\r\n").startswith(
        "{"
    ):
        return False
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


_MODEL: Final = re.compile(rb'"model"[ \t\n\r]*:')


def models_in(body: bytes, top: str | None = None) -> set[str]:
    """The models that a JSON body names, wherever they stand: `session.model`, a grader's, a tool's, …

    Not `top`, which is known to stand at the top: a body that names no other is not decoded. Raises
    InvalidRequest like `read`.
    """
    if not _is_spelt(body) and len(_MODEL.findall(body)) == (top is not None):
        return set()
    return set(read(body, _models)) - {top}


def _models(document: Any) -> Iterator[str]:
    return (value for name, value in members_of(document) if name == "model" and type(value) is str)


def read(body: bytes, of: Callable[[Any], Iterator[_T]]) -> list[_T]:
    """What `of` makes of this body, in which objects are tuples of their pairs.

    Raises InvalidRequest for a body that is no JSON, or nests too deep.
    """
    try:
        # Numbers as floats, of which none is too long.
        return list(of(json.loads(body, object_pairs_hook=tuple, parse_int=float)))
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    except ValueError:
        raise InvalidRequest("The body is not valid JSON.") from None


def members_of(value: Any) -> Iterator[tuple[str, Any]]:
    """All members, however deep they stand, but for what clients write as they like.

    Objects are tuples of their pairs.
    """
    if type(value) is list:
        for item in value:
            yield from members_of(item)
    elif type(value) is tuple:
        for name, inner in value:
            if name not in OPAQUE:
                yield from _below(name, inner)


def _below(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name == _NAMED_BY_CLIENT and type(value) is tuple:
        for _, inner in value:
            yield from members_of(inner)
        return
    yield name, value
    if name == "source" and type(value) is tuple:
        value = tuple(pair for pair in value if pair[0] != _DATA)
    yield from members_of(value)
