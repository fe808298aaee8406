"""Limits as people write them: `60 requests/minute`, `$5/day on gpt-6*`, `8 concurrent`."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

from gateway.policy.money import NANO, dollars
from gateway.policy.records import Kind, Limit, Unit, Window

HOW_TO_WRITE = (
    "write a limit like '60 requests/minute', '100k tokens/day', '$5/day' or '8 concurrent', with "
    "' on gpt-6*, o3*' behind it if it holds for some models only"
)

_LIMIT = re.compile(r"(?P<what>[^\s].*?)(?:\s+on\s+(?P<models>.*))?", re.DOTALL)
_SLOTS = re.compile(r"(?P<amount>\S+)\s+concurrent")
_PER = r"(?:\s*/\s*|\s+(?=total$))(?P<window>\S+)"
_COUNT = re.compile(r"(?P<amount>\S+)\s+(?P<unit>[a-z]+)" + _PER)
_MONEY = re.compile(r"\$(?P<amount>[^\s/]+)" + _PER)
_AMOUNT = re.compile(r"(?P<number>[0-9]{1,16}(?:\.[0-9]{1,9})?)(?P<suffix>[kM]?)")
_PATTERN = re.compile(r"[^\s,]{1,256}")

_UNITS = {
    "request": Unit.REQUESTS,
    "requests": Unit.REQUESTS,
    "token": Unit.TOKENS,
    "tokens": Unit.TOKENS,
}
_SUFFIXES = {"": 1, "k": 1_000, "M": 1_000_000}
_MONEY_WINDOWS = (Window.DAY, Window.WEEK, Window.MONTH, Window.TOTAL)
_MEMBERS = frozenset({"limit", "mode", "cap_output", "estimate"})
_TABLE = (
    'a limit is a text, or a table { limit = "..." } with any of mode = "enforce" or "shadow", '
    'cap_output = TOKENS, estimate = "worst" or "learned"'
)
_MAX_CAP = 10**9  # tokens; no model writes a thousandth of it

# The store counts in double-precision numbers, multiplies a rate's amount by its window in milliseconds, and
# adds two of those.
_EXACT = 2**52
_MOST = {Kind.RATE: _EXACT // 3_600_000, Kind.CONCURRENCY: _EXACT // 3_600_000, Kind.BUDGET: _EXACT}


def parse_limit(text: str | dict[str, Any], scope: str) -> Limit:
    """The limit that a person wrote, or a table of it: `{limit, mode, cap_output, estimate}`.

    `scope` names its owner. Its `text` is the canonical wording. Raises ValueError with a sentence that says
    what to write.
    """
    table = _table(text)
    written = table["limit"]
    match = _LIMIT.fullmatch(written.strip())
    if match is None:
        raise ValueError(f"the limit is empty: {HOW_TO_WRITE}")
    unit, amount, window = _what(match["what"], written)
    models = () if match["models"] is None else _models(match["models"], written)
    limit = Limit(
        _worded(unit, amount, window, models),
        *(unit, amount, window, scope, models),
        shadow=_chosen(table, "mode", "enforce", "shadow"),
        cap_output=_cap_output(table, unit),
        learned=_learned(table, unit),
    )
    if not 0 < amount < _MOST[limit.kind]:
        raise ValueError(f"'{written}' must be more than nothing, and less than the store can count")
    return limit


def parse_limits(texts: Iterable[str | dict[str, Any]], scope: str) -> tuple[Limit, ...]:
    """All limits of one owner. Raises ValueError also for two that would share one counter."""
    given = tuple(texts)
    if not all(type(text) is str for text in given):
        return _distinct(given, scope)
    return tuple([_owned(limit, scope) for limit in _written(cast(tuple[str, ...], given))])


@lru_cache(maxsize=1024)  # thousands of keys have the same few limits, and reading one takes 10 µs
def _written(texts: tuple[str, ...]) -> tuple[Limit, ...]:
    return _distinct(texts, "")


def _owned(limit: Limit, scope: str) -> Limit:
    return Limit(
        *(limit.text, limit.unit, limit.amount, limit.window, scope, limit.models),
        *(limit.shadow, limit.cap_output, limit.learned),
    )


def _distinct(texts: Iterable[str | dict[str, Any]], scope: str) -> tuple[Limit, ...]:
    limits: dict[str, Limit] = {}
    for text in texts:
        limit = parse_limit(text, scope)
        twin = limits.setdefault(limit.id, limit)
        if twin is not limit:
            raise ValueError(f"'{twin.text}' and '{limit.text}' limit the same thing: keep one of them")
    return tuple(limits.values())


def owner_of(limit: Limit) -> str:
    """Whose limit it is, as the client whom it holds back is told."""
    kind, _, name = limit.scope.partition(":")
    return {"key": "this key", "team": f"the team '{name}'"}.get(kind, "the gateway")


def _table(text: str | dict[str, Any]) -> Mapping[str, Any]:
    if isinstance(text, str):
        return {"limit": text}
    if not isinstance(text, Mapping) or not isinstance(text.get("limit"), str) or text.keys() - _MEMBERS:
        raise ValueError(_TABLE)
    return text


def _chosen(table: Mapping[str, Any], name: str, default: str, other: str) -> bool:
    """Whether it is the other."""
    value = table.get(name, default)
    if value not in (default, other):
        raise ValueError(f"the {name} of '{table['limit']}' must be '{default}' or '{other}'")
    return bool(value == other)


def _cap_output(table: Mapping[str, Any], unit: Unit) -> int | None:
    cap = table.get("cap_output")
    if cap is None:
        return None
    _on_output(table, "cap_output", unit)
    if type(cap) is not int or not 1 <= cap <= _MAX_CAP:
        raise ValueError(f"the cap_output of '{table['limit']}' must be a whole number of tokens, 1 or more")
    return cap


def _learned(table: Mapping[str, Any], unit: Unit) -> bool:
    learned = _chosen(table, "estimate", "worst", "learned")
    if learned:
        _on_output(table, "estimate", unit)
    if learned and table.get("cap_output") is not None:
        raise ValueError(
            f"'{table['limit']}' has both cap_output and estimate = 'learned': what is capped need not be "
            "guessed, so keep one of them"
        )
    return learned


def _on_output(table: Mapping[str, Any], name: str, unit: Unit) -> None:
    if unit not in (Unit.TOKENS, Unit.DOLLARS):
        raise ValueError(f"'{table['limit']}' cannot have {name}: that is for limits on tokens and dollars")


def _what(what: str, written: str) -> tuple[Unit, int, Window | None]:
    if match := _SLOTS.fullmatch(what):
        return Unit.SLOTS, _amount(match["amount"], written), None
    if match := _MONEY.fullmatch(what):
        return (
            Unit.DOLLARS,
            _amount(match["amount"], written, NANO),
            _window(match["window"], written, money=True),
        )
    match = _COUNT.fullmatch(what)
    if match is None:
        raise ValueError(f"'{written}' is not understood: {HOW_TO_WRITE}")
    amount, unit = _amount(match["amount"], written), _UNITS.get(match["unit"])
    if unit is None:
        raise ValueError(f"'{match['unit']}' in '{written}' must be 'requests' or 'tokens'")
    return unit, amount, _window(match["window"], written, money=False)


def _amount(text: str, written: str, scale: int = 1) -> int:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' in '{written}' must be a number such as 60, 100k or 1.5M")
    exact = Decimal(match["number"]) * _SUFFIXES[match["suffix"]] * scale
    if exact != int(exact):
        raise ValueError(f"'{text}' in '{written}' must come to a whole number")
    return int(exact)


def _window(text: str, written: str, *, money: bool) -> Window:
    allowed = _MONEY_WINDOWS if money else tuple(Window)
    if text not in allowed:
        raise ValueError(f"'{text}' in '{written}' must be one of {', '.join(allowed)}, spelled out")
    return Window(text)


def _models(text: str, written: str) -> tuple[str, ...]:
    patterns = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(_PATTERN.fullmatch(pattern) and pattern.isprintable() for pattern in patterns):
        raise ValueError(f"behind ' on ' in '{written}' must be model names, such as 'gpt-6*, o3*'")
    return patterns


def _worded(unit: Unit, amount: int, window: Window | None, models: tuple[str, ...]) -> str:
    if window is None:
        text = f"{_short(amount)} concurrent"
    elif unit is Unit.DOLLARS:
        text = f"${_dollars(amount)}/{window}"
    else:
        text = f"{_short(amount)} {unit if amount != 1 else unit[:-1]}/{window}"
    return f"{text} on {', '.join(models)}" if models else text


def _short(amount: int) -> str:
    """`1500000` as `1.5M`: with a suffix where one decimal is enough."""
    for suffix in ("M", "k"):
        tenths, rest = divmod(amount * 10, _SUFFIXES[suffix])
        if tenths >= 10 and rest == 0:
            return f"{tenths // 10}{f'.{tenths % 10}' if tenths % 10 else ''}{suffix}"
    return str(amount)


def _dollars(nano: int) -> str:
    """With cents, where there are any."""
    whole, _, fraction = dollars(nano).partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}" if fraction else whole
