"""Values that fit a schema: the required, and a seeded choice of the optional."""

import re
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from tests.conformance.specification import Schema, resolve

DEEP: Final = 5  # levels below which nothing optional is made any more

# Strings for the formats and patterns that the description uses; the first that fits is taken.
_TEXTS: Final = ("value", "some text", "tunnel_" + "a1" * 16, "a-name_1", "x")
_FORMATS: Final = {
    "uri": "https://example.com/a/file?x=1",
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "email": "someone@example.com",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}
_NUMBERS: Final = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_TIGHTER: Final = {"minimum": max, "minItems": max, "minLength": max}
_LOOSER: Final = {"maximum": min, "maxItems": min, "maxLength": min, "maxProperties": min}


class Binary(str):
    """Where the description means a file. In JSON, where there are none, it is a text."""


class Unsupported(Exception):
    """The description says something that this generator does not know yet."""


def value(schema: Schema, random: Random, depth: int = 0) -> Any:
    """A value that fits. Raises Unsupported rather than guess."""
    flat = flatten(schema, random, depth)
    if "const" in flat:
        return flat["const"]
    if "enum" in flat:
        return random.choice([one for one in flat["enum"] if one is not None])
    make = _MAKERS.get(_type(flat))
    if make is None:
        raise Unsupported(f"a schema of type {flat.get('type')!r}")
    return make(flat, random, depth)


def flatten(schema: Schema, random: Random, depth: int) -> dict[str, Any]:
    """The schema without references and alternatives: one of these is chosen, all of `allOf` are merged."""
    schema = resolve(schema)
    flat = {name: said for name, said in schema.items() if name not in ("allOf", "anyOf", "oneOf")}
    for part in schema.get("allOf", ()):
        flat = _merged(flat, flatten(part, random, depth))
    for name in ("anyOf", "oneOf"):
        if schema.get(name):
            flat = _merged(flat, flatten(_chosen(schema[name], random, depth), random, depth))
    return flat


def _chosen(alternatives: list[Schema], random: Random, depth: int) -> Schema:
    """One of them; far down the one that ends soonest.

    Where the description points at itself (`$recursiveRef`) there is always another.
    """
    known = [one for one in alternatives if "$recursiveRef" not in one]
    real = [one for one in known if resolve(one).get("type") != "null"] or known
    return random.choice(real) if depth < DEEP else min(real, key=height)


def height(schema: Schema, within: tuple[int, ...] = ()) -> int:
    """How many levels the smallest value of it has; what contains itself counts as endless."""
    schema = resolve(schema)
    if id(schema) in within or len(within) > 3 * DEEP:
        return 1000
    within = (*within, id(schema))
    properties = schema.get("properties", {})
    same_level = [height(part, within) for part in schema.get("allOf", ())]
    same_level += [
        min(height(part, within) for part in schema[name]) for name in ("anyOf", "oneOf") if schema.get(name)
    ]
    below = [properties[name] for name in schema.get("required", ()) if name in properties]
    if schema.get("minItems", 0) > 0:
        below.append(schema.get("items", {}))
    return max([*same_level, *(1 + height(one, within) for one in below)], default=0)


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = _merged_properties(one["properties"], other["properties"])
    if "required" in one and "required" in other:
        merged["required"] = [*one["required"], *other["required"]]
    if "enum" in one and "enum" in other:
        merged["enum"] = [item for item in one["enum"] if item in other["enum"]]
    for name, pick in (_TIGHTER | _LOOSER).items():
        if name in one and name in other:
            merged[name] = pick(one[name], other[name])
    return merged


def _merged_properties(one: Mapping[str, Schema], other: Mapping[str, Schema]) -> dict[str, Schema]:
    both = {name: {"allOf": [one[name], other[name]]} for name in one if name in other}
    return {**one, **other, **both}


def _type(flat: Schema) -> str:
    said = flat.get("type")
    if isinstance(said, list):
        said = next(one for one in said if one != "null")
    if said is None:
        said = "object" if "properties" in flat or "required" in flat else "string"
    return str(said)


def _object(flat: Schema, random: Random, depth: int) -> dict[str, Any]:
    properties = flat.get("properties", {})
    required = list(dict.fromkeys(flat.get("required", ())))
    names = required + [name for name in properties if name not in required and _wanted(name, random, depth)]
    for name in set(flat.get("not", {}).get("required", ())).difference(required):
        names = [kept for kept in names if kept != name]
    made = {name: value(properties.get(name, {}), random, depth + 1) for name in names}
    extra = flat.get("additionalProperties")
    if isinstance(extra, Mapping) and not properties and depth < DEEP:
        made["a-key"] = value(extra, random, depth + 1)
    return made


def _wanted(name: str, random: Random, depth: int) -> bool:
    """A stream is asked for where one is meant, not by chance: the answer is another one."""
    return name not in ("stream", "stream_options") and depth < DEEP and random.random() < 0.6 / (depth + 1)


def _array(flat: Schema, random: Random, depth: int) -> list[Any]:
    least = flat.get("minItems", 0)
    most = flat.get("maxItems", max(least, 2))
    if depth >= DEEP:
        most = least
    count = random.randint(min(max(least, 1), most), max(least, min(most, least + 2)))
    return [value(flat.get("items", {}), random, depth + 1) for _ in range(count)]


def _string(flat: Schema, random: Random, _: int) -> str:
    if flat.get("format") == "binary":
        return Binary("value")
    texts = [_FORMATS[flat["format"]]] if flat.get("format") in _FORMATS else list(_TEXTS)
    least, most = flat.get("minLength", 1), flat.get("maxLength", 1000)
    pattern = re.compile(flat.get("pattern", ""))
    texts += [text.ljust(least, "x")[:most] for text in _TEXTS]
    fitting = [text for text in texts if least <= len(text) <= most and pattern.search(text)]
    if not fitting:
        raise Unsupported(f"a string of pattern {pattern.pattern!r}, {least} to {most} long")
    return fitting[0] if "pattern" in flat else random.choice(fitting)


def _integer(flat: Schema, random: Random, _: int) -> int:
    low, high = _bounds(flat, 1)
    return random.randint(int(low), int(high))


def _number(flat: Schema, random: Random, _: int) -> float:
    low, high = _bounds(flat, 0.125)
    return round(random.uniform(low, high) * 8) / 8 if high - low > 1 else (low + high) / 2


def _bounds(flat: Schema, step: float) -> tuple[float, float]:
    """The least and the most. An exclusive bound is a number or, in the older way, says so of the other."""
    said = {name: _as_number(flat[name]) for name in _NUMBERS if name in flat}
    low: Any = said.get("minimum")
    high: Any = said.get("maximum")
    for exclusive, sign in (("exclusiveMinimum", 1), ("exclusiveMaximum", -1)):
        bound = said.get(exclusive)
        if bound is True:
            low, high = (low + step, high) if sign > 0 else (low, high - step)
        elif isinstance(bound, int | float) and bound is not False:
            low, high = (bound + step, high) if sign > 0 else (low, bound - step)
    if low is None:
        low = 1 if high is None else min(1, high)
    return low, low + 10 if high is None else min(high, low + 10)


def _as_number(bound: Any) -> Any:
    """The description writes some of its bounds in quotes."""
    return float(bound) if isinstance(bound, str) else bound


def _boolean(_: Schema, random: Random, __: int) -> bool:
    return random.random() < 0.5


_MAKERS: Final = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": lambda *_: None,
}
