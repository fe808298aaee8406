"""A price list: providers, their models, the names that each goes by, and its prices over time.

The built-in one is `catalogue.json`, compiled by `deploy/prices/generate.py`. Rates are nano-dollars per
million tokens, fees nano-dollars per request or call. `docs/prices.md` describes the format.
"""

import operator
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

BUILT_IN: Final = Path(__file__).with_name("catalogue.json")

Kind = Literal[
    "input",
    "cached",
    "cache_write",
    "input_audio",
    "cached_audio",
    "input_image",
    "cached_image",
    "output",
    "reasoning",
    "output_audio",
    "output_image",
]
Nano = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Clause = str | dict[str, Any]


class Tariff(msgspec.Struct, forbid_unknown_fields=True):
    """The rates of one tier. `steps` hold for requests with more input tokens than their first number."""

    rates: dict[Kind, Nano]
    steps: list[tuple[Nano, dict[Kind, Nano]]] = []


class Entry(Tariff, forbid_unknown_fields=True, rename={"start": "from"}):
    """What a model costs from a day on (UTC; "": ever since), until the next entry."""

    start: str = ""
    tiers: dict[str, Tariff] = {}
    request: Nano = 0
    tools: dict[str, Nano] = {}
    note: str = ""


class Model(msgspec.Struct, forbid_unknown_fields=True):
    """`match`: one of these must fit the name in lower case; empty: the id must equal it.

    Without prices, the model is known and what it costs is not.
    """

    id: str
    match: list[Clause] = []
    prices: list[Entry] = []


class Provider(msgspec.Struct, forbid_unknown_fields=True):
    """`api` is a regular expression that the base URL begins with; `fallback` are providers it resells."""

    id: str
    api: str = ""
    fallback: list[str] = []
    models: list[Model] = []


class Catalogue(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    providers: list[Provider]


_TESTS: Final[dict[str, Callable[[str, Any], bool]]] = {
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": operator.contains,
    "regex": lambda name, pattern: re.search(pattern, name) is not None,
    "or": lambda name, clauses: any(fits(clause, name) for clause in clauses),
    "and": lambda name, clauses: all(fits(clause, name) for clause in clauses),
}
_decode = msgspec.json.Decoder(Catalogue).decode


def read(path: str = "") -> Catalogue:
    """The list in a file; "": the built-in one. Raises ValueError, in words, for what is none."""
    if not path:
        return _decode(BUILT_IN.read_bytes())
    try:
        catalogue = _decode(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(f"cannot be read: {(error.strerror or 'no file').lower()}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"is no list of prices: {error}") from None
    for provider in catalogue.providers:
        _check(provider)
    return catalogue


def fits(clause: Clause, name: str) -> bool:
    """Whether the clause covers the name, which is in lower case."""
    if isinstance(clause, str):
        return name == clause
    return all(_TESTS[how](name, what) for how, what in clause.items())


def since(day: str) -> int:
    """When a day begins in UTC, in ms since the epoch; "": 0. Raises ValueError for what is no day."""
    if not day:
        return 0
    begin = date.fromisoformat(day)
    return round(datetime(begin.year, begin.month, begin.day, tzinfo=UTC).timestamp() * 1000)


def _check(provider: Provider) -> None:
    """Raises ValueError for what the decoder lets through and nobody could use."""
    try:
        re.compile(provider.api)
        for model in provider.models:
            for clause in model.match:
                fits(clause, model.id)
            for entry in model.prices:
                since(entry.start)
                _check_tariffs(entry)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, re.error) as error:
        raise ValueError(f"the provider {provider.id!r} in it is wrong: {error}") from None


def _check_tariffs(entry: Entry) -> None:
    for tariff in (entry, *entry.tiers.values()):
        above = [step[0] for step in tariff.steps]
        if above != sorted(set(above)):
            raise ValueError("its steps do not ascend")
        if any("input" not in rates for rates in (tariff.rates, *(rates for _, rates in tariff.steps))):
            raise ValueError("rates without 'input'")
