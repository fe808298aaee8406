"""Models that OpenAI has shut down or will: whether one is, what is sent instead, how clients are told.

A shutdown is the beginning of its day in UTC: OpenAI names days. Times are integer ms since 1970.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from gateway.errors import UnknownUrl
from gateway.policy.jsonbytes import parse
from gateway.policy.models import best, untuned
from gateway.policy.retirements import TABLE, TUNED, Retired, midnight

Mode = Literal["keep", "redirect", "refuse"]
State = Literal["announced", "retired"]

_NOTHING: Final[Mapping[str, Retired]] = MappingProxyType({})


def find(model: str, listed: Mapping[str, Retired] = _NOTHING) -> Retired | None:
    """What is known of the model's end, under the model's own name; None: nothing.

    `listed` is what an upstream's list of models says (`shutdown_dates`), and holds for the date. A
    fine-tuned model (`ft:gpt-4o-2024-08-06:org::id`, `davinci:ft-org-…`) ends with its base, unless OpenAI
    has said otherwise.
    """
    known = _known(model)
    said = listed.get(model)
    if said is None or known is None:
        return said or known
    return replace(known, shutdown=said.shutdown)


@lru_cache(maxsize=1024)  # asked for each request; a look through all patterns takes 30 µs
def _known(model: str) -> Retired | None:
    found = _listed(model)
    return replace(found, name=model) if found is not None else None


def _listed(model: str) -> Retired | None:
    if model.startswith("ft:"):
        base = untuned(model)
        return best(TUNED, base) or best(TABLE, base)
    base, tuned, _ = model.partition(":ft-")
    return best(TABLE, base if tuned else model)


def state(retired: Retired, now: int) -> State:
    """`retired` from the shutdown on, `announced` before it."""
    return "retired" if now >= retired.shutdown else "announced"


def seconds_left(retired: Retired, now: int) -> int:
    """How long until the shutdown, negative after it."""
    return (retired.shutdown - now) // 1000


def successor(retired: Retired, now: int, listed: Mapping[str, Retired] = _NOTHING) -> str | None:
    """The replacement that is alive at `now`, where the replacement itself may have been replaced.

    `listed` as for `find`. None where there is none, or none that answers the same requests.
    """
    passed = {retired.name}
    while retired.replacement is not None and not retired.elsewhere and retired.replacement not in passed:
        name = retired.replacement
        heir = find(name, listed)
        if heir is None or state(heir, now) == "announced":
            return name
        passed.add(name)
        retired = heir
    return None


def redirect(model: str, mode: Mode, now: int, listed: Mapping[str, Retired] = _NOTHING) -> str | None:
    """What to ask the upstream for instead of `model`; None: for the model itself.

    That is also the answer for a model that is alive, and for one that has no successor: then the upstream
    refuses it in its own words. Raises UnknownUrl (404, `model_retired`) in the mode `refuse`.
    """
    retired = find(model, listed) if mode != "keep" else None
    if retired is None or state(retired, now) == "announced":
        return None
    if mode == "refuse":
        raise UnknownUrl(_refusal(retired, now, listed), code="model_retired", param="model")
    return successor(retired, now, listed)


def _refusal(retired: Retired, now: int, listed: Mapping[str, Retired]) -> str:
    day = datetime.fromtimestamp(retired.shutdown // 1000, UTC).date().isoformat()
    instead = successor(replace(retired, elsewhere=False), now, listed)
    advice = f" Use '{instead}' instead." if instead is not None else ""
    return f"The model '{retired.name}' was shut down on {day}.{advice}"


def sunset_headers(retired: Retired) -> tuple[tuple[str, str], ...]:
    """What tells clients of the end: `sunset` (RFC 8594), and `deprecation` (RFC 9745) if it is known when.

    A sunset must not be earlier than the deprecation: of an end that was brought forward, only that is said.
    """
    return _sunset(retired.shutdown, retired.announced)


@lru_cache(maxsize=1024)
def _sunset(shutdown: int, announced: int | None) -> tuple[tuple[str, str], ...]:
    sunset = ("sunset", formatdate(shutdown // 1000, usegmt=True))
    if announced is None or announced > shutdown:
        return (sunset,)
    return ("deprecation", f"@{announced // 1000}"), sunset


class _Model(msgspec.Struct):
    id: str
    shutdown_date: str | None = None


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


_MODEL: Final = msgspec.json.Decoder(_Model)
_LIST: Final = msgspec.json.Decoder(_List)


def shutdown_dates(body: bytes) -> dict[str, Retired]:
    """The models with a `shutdown_date` in the answer to `GET /v1/models` or `/v1/models/{model}`, by name.

    What is not in that shape, or no ISO day, says nothing.
    """
    listing = parse(_LIST, body)
    models = [parse(_MODEL, each) for each in (listing.data if listing is not None else [body])]
    dated = (_dated(model) for model in models if model is not None)
    return {retired.name: retired for retired in dated if retired is not None}


def _dated(model: _Model) -> Retired | None:
    try:
        return Retired(model.id, midnight(model.shutdown_date or ""))
    except ValueError:
        return None
