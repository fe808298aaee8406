"""Plain values turned into `Settings`, field by field.

msgspec stops at the first error of a record; here every field is converted on its own, so that all
complaints come at once. A field that cannot be read keeps its default, so that the rest can be checked too.
"""

import difflib
import json
import re
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from gateway.configuration.complaints import Complaints
from gateway.settings import Dollars, Duration, Factor, Settings, Size

_EXPECTED: dict[object, str] = {
    bool: "write true or false",
    int: "write a whole number",
    str: 'write text in quotes: "..."',
    list: "write a list: [...]",
    dict: "write a table: { name = value }",
    Duration: "write a duration such as 250ms, 30s, 5m, 24h or 7d, in quotes",
    Size: "write a size such as 64KiB, 1MiB or 10MB, in quotes",
    Dollars: "write dollars, 0 or more, with at most nine decimals, such as 2.5 or 0.0001",
    Factor: "write what to multiply by, 0 or more, with at most six decimals, such as 0.5 or 2",
}
_NOUNS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
    type(None): "nothing",
}
_BARE_NAME = re.compile(r"[A-Za-z0-9_-]+")
_MAX_DURATION = 10 * 365 * 86400.0
_MAX_NUMBER = 2**53  # what JSON, Lua and the admin API can all carry


def convert(document: dict[str, Any], complaints: Complaints) -> Settings:
    """The settings that the document spells, with a complaint for each value that is none."""
    settings: Settings = _record(document, Settings, "", complaints)
    return settings


def kinds() -> Iterator[tuple[str, Any]]:
    """Every setting that can be given as one value, and its type: `server.port`, `upstreams`."""
    for section in msgspec.structs.fields(Settings):
        if is_record(section.type):
            for field in msgspec.structs.fields(section.type):
                yield f"{section.name}.{field.name}", field.type
        else:
            yield section.name, section.type


def is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def required(kind: Any) -> Any:
    """The type without its `| None`."""
    if get_origin(kind) in (Union, types.UnionType):
        others = tuple(arg for arg in get_args(kind) if arg is not type(None))
        return others[0] if len(others) == 1 else kind
    return kind


def _one_or_list(kind: Any, value: Any) -> Any:
    """Of a record or a list of them, whichever the value is."""
    records = [arg for arg in get_args(kind) if is_record(arg)]
    if not records or get_origin(kind) is list:
        return kind
    return list[records[0]] if isinstance(value, list) else records[0]  # type: ignore[valid-type]


def _value(value: Any, kind: Any, where: str, complaints: Complaints) -> Any:
    """`value` as `kind`; None, with a complaint, when it is not."""
    if value is None and kind is not required(kind):
        return None
    kind = _one_or_list(required(kind), value)
    if is_record(kind):
        return _record(value, kind, where, complaints)
    if get_origin(kind) is list:
        return _list(value, kind, where, complaints)
    if get_origin(kind) is dict:
        return _table(value, kind, where, complaints)
    return _leaf(value, kind, where, complaints)


def _record(value: Any, kind: type[Any], where: str, complaints: Complaints) -> Any:
    if not isinstance(value, dict):
        complaints.add(where, f"this is {_noun(value)}", f"write a table of {', '.join(_names(kind))}")
        value = {}
    _refuse_unknown(value, kind, where, complaints)
    read = {}
    for field in msgspec.structs.fields(kind):
        place = inside(where, field.encode_name)
        if field.encode_name in value:
            read[field.name] = _value(value[field.encode_name], field.type, place, complaints)
        elif field.required:
            complaints.add(place, "this is missing", _expected(field.type))
        if field.required and read.get(field.name) is None:
            read[field.name] = ""  # every required setting is text
    return kind(**{name: item for name, item in read.items() if item is not None})


def _refuse_unknown(value: dict[str, Any], kind: type[Any], where: str, complaints: Complaints) -> None:
    names = _names(kind)
    for name in sorted(value.keys() - set(names)):
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]}?" if close else f"write one of {', '.join(names)}"
        complaints.add(inside(where, name), "there is no such setting", hint)


def _list(value: Any, kind: Any, where: str, complaints: Complaints) -> Any:
    (inner,) = get_args(kind)
    if not isinstance(value, list):
        hint = f"write [[{where}]] above it" if is_record(inner) else _expected(list)
        complaints.add(where, f"this is {_noun(value)}", hint)
        return None
    items = [_value(item, inner, f"{where}[{n}]", complaints) for n, item in enumerate(value)]
    return ["" if item is None else item for item in items]  # in its place, so that the others keep theirs


def _table(value: Any, kind: Any, where: str, complaints: Complaints) -> Any:
    _, inner = get_args(kind)
    if not isinstance(value, dict):
        complaints.add(where, f"this is {_noun(value)}", _expected(dict))
        return None
    items = {name: _value(item, inner, inside(where, name), complaints) for name, item in value.items()}
    return {name: item for name, item in items.items() if item is not None}


def _leaf(value: Any, kind: Any, where: str, complaints: Complaints) -> Any:
    """One plain value. The complaint never quotes it: what stands in the wrong place may be a secret."""
    try:
        read = msgspec.convert(value, kind, dec_hook=lambda kind, value: kind.parse(value))
    except (ValueError, OverflowError, RecursionError):
        complaints.add(where, f"this is {_noun(value)} that does not fit here", _expected(kind))
        return None
    if flaw := _flaw(read):
        complaints.add(where, flaw, _expected(kind))
        return None
    return read


def _flaw(read: object) -> str | None:
    if isinstance(read, str):
        return None if read.isprintable() else "there is a control character in it"
    if isinstance(read, Duration | Size) and read <= 0:
        return "this is zero"
    if isinstance(read, Dollars | Factor) and read < 0:
        return "this is negative"
    if isinstance(read, Duration):
        return None if read <= _MAX_DURATION else "this is longer than ten years"
    return "this is too large" if isinstance(read, int) and abs(read) > _MAX_NUMBER else None


def _expected(kind: Any) -> str:
    kind = required(kind)
    if get_origin(kind) is Literal:
        return "write one of " + ", ".join(json.dumps(choice) for choice in get_args(kind))
    plain = get_origin(kind) or kind
    return _EXPECTED.get(plain, 'write "60 requests/minute" or { limit = "60 requests/minute" }')


def _noun(value: object) -> str:
    return _NOUNS.get(type(value), "a date or a time")


def _names(kind: type[Any]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def inside(where: str, name: str) -> str:
    """The place of a setting within another: `models.aliases."a.b"`."""
    name = name if _BARE_NAME.fullmatch(name) else json.dumps(name)
    return f"{where}.{name}" if where else name
