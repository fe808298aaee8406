"""Writes `gateway/pricing/catalogue.json`: `make prices`. Reads the installed genai-prices, once.

Every price becomes an integer; every date on which something changes, an entry of its own. A test compares
what is committed with what this makes.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import ROUND_CEILING, Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types
from genai_prices.data import providers

Json = dict[str, Any]

TARGET = Path(__file__).parent.parent.parent / "gateway" / "pricing" / "catalogue.json"

# Their units and ours.
KINDS = {
    "input_mtok": "input",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_write",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cached_audio",
    "input_image_mtok": "input_image",
    "cache_image_read_mtok": "cached_image",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
}
TOOLS = {"web_searches_kcount": "web_search", "storage_searches_kcount": "file_search"}
REQUEST = "requests_kcount"
# Usage on an OpenAI-compatible wire does not tell these apart: they are counted as what they are part of.
MERGED = {"cache_write_1h_mtok", "input_video_mtok", "output_video_mtok", "output_citation_mtok"}


def catalogue() -> Json:
    listed = sorted(filter(None, map(_provider, providers)), key=lambda each: each["id"])
    return {"source": f"genai-prices {version('genai-prices')}", "providers": listed}


def rendered(content: Json | None = None) -> str:
    """As JSON without spaces, a model a line."""
    content = content or catalogue()
    blocks = []
    for provider in content["providers"]:
        head = _json({name: value for name, value in provider.items() if name != "models"})
        models = ",\n".join(map(_json, provider["models"]))
        blocks.append(f'{head[:-1]},"models":[\n{models}\n]}}')
    return f'{{"source":{_json(content["source"])},"providers":[\n' + ",\n".join(blocks) + "\n]}\n"


def _provider(provider: types.Provider) -> Json | None:
    """None for one that sells nothing by the token."""
    models = [_model(model) for model in provider.models]
    if not any(model.get("prices") for model in models):
        return None
    found: Json = {"id": provider.id, "api": provider.api_pattern}
    if provider.fallback_model_providers:
        found["fallback"] = provider.fallback_model_providers
    return {**found, "models": models}


def _model(model: types.ModelInfo) -> Json:
    """One without a price stays in the list: its name must not find the model after it."""
    found: Json = {"id": model.id}
    match = [_clause(each) for each in _alternatives(model.match)]
    if match != [model.id.lower()]:
        found["match"] = match
    if prices := list(_entries(model)):
        found["prices"] = prices
    return found


def _alternatives(clause: Any) -> Iterator[Any]:
    if isinstance(clause, types.ClauseOr):
        for each in clause.or_:
            yield from _alternatives(each)
    else:
        yield clause


def _clause(clause: Any) -> str | Json:
    if isinstance(clause, types.ClauseEquals):
        return clause.equals.lower()
    if isinstance(clause, types.ClauseRegex):
        return {"regex": clause.regex}
    if isinstance(clause, types.ClauseOr):
        return {"or": [_clause(each) for each in clause.or_]}
    if isinstance(clause, types.ClauseAnd):
        return {"and": [_clause(each) for each in clause.and_]}
    ((how, what),) = vars(clause).items()
    return {how: what.lower()}


def _entries(model: types.ModelInfo) -> Iterator[Json]:
    """What holds from each day on which something changes."""
    last: Json | None = None
    for day in (date.min, *sorted(_days(model))):
        entry = _entry(model, day)
        if entry and entry != last:
            yield entry if day == date.min else {"from": day.isoformat(), **entry}
        last = entry


def _days(model: types.ModelInfo) -> set[date]:
    conditions = [each.constraint for each in model.prices] if isinstance(model.prices, list) else []
    conditions += [each.constraint for each in model.price_variants or () if "service_tier" in each.when]
    return {each.start_date for each in conditions if isinstance(each, types.StartDateConstraint)}


def _entry(model: types.ModelInfo, day: date) -> Json:
    """Empty: what it costs on that day is not known, or not by the token."""
    hours = [_known(prices) for prices in _prices(model, day)]
    if not any(hours):
        return {"rates": {"input": 0, "output": 0}} if _is_free(model) else {}
    standard = {name: _dearest([hour[name] for hour in hours]) for name in hours[0]}
    if "input_mtok" not in standard or standard.keys() - KINDS.keys() - TOOLS.keys() - MERGED - {REQUEST}:
        return {}
    entry = _tariff(standard)
    if tiers := {tier: _tariff({**standard, **own}) for tier, own in _tiers(model, day)}:
        entry["tiers"] = tiers
    if REQUEST in standard:
        entry["request"] = _nano(standard[REQUEST], 1000)
    if tools := {tool: _nano(standard[unit], 1000) for unit, tool in TOOLS.items() if unit in standard}:
        entry["tools"] = tools
    if len(hours) > 1:
        entry["note"] = "the dearest hours of the day"
    return entry


def _prices(model: types.ModelInfo, day: date) -> list[types.ModelPrice]:
    """Every price that holds at some hour of the day: the last that is active does, else the first."""
    if isinstance(model.prices, types.ModelPrice):
        return [model.prices]
    found = []
    for each in reversed(model.prices):
        if isinstance(each.constraint, types.TimeOfDateConstraint):
            found.append(each.prices)
        elif _active(each.constraint, day):
            return [*found, each.prices]
    return [*found, model.prices[0].prices]


def _active(constraint: Any, day: date) -> bool:
    return constraint is None or (
        isinstance(constraint, types.StartDateConstraint) and constraint.start_date <= day
    )


def _tiers(model: types.ModelInfo, day: date) -> Iterator[tuple[str, Json]]:
    """Service tiers with prices of their own. The first that is active wins, unit by unit."""
    found: dict[str, Json] = {}
    for each in model.price_variants or ():
        if set(each.when) == {"service_tier"} and _active(each.constraint, day):
            tier = each.when["service_tier"]
            found[tier] = {**_known(each.prices), **found.get(tier, {})}
    yield from sorted((tier, own) for tier, own in found.items() if own)


def _is_free(model: types.ModelInfo) -> bool:
    """An empty price can mean free or unknown. It is free where the name says so, and for moderations."""
    return model.id.endswith(":free") or model.id == "moderation"


def _known(prices: types.ModelPrice) -> Json:
    return {unit: price for unit, price in vars(prices).items() if price is not None}


def _tariff(prices: Mapping[str, Any]) -> Json:
    """Rates, and steps where more tokens change them. Between two steps of a unit, the lower one holds."""
    units = {unit: kind for unit, kind in KINDS.items() if unit in prices}
    tariff: Json = {"rates": {kind: _nano(_at(prices[unit], 0)) for unit, kind in units.items()}}
    tiered = [each for each in prices.values() if isinstance(each, types.TieredPrices)]
    if starts := sorted({tier.start for each in tiered for tier in each.tiers}):
        tariff["steps"] = [
            [start, {kind: _nano(_at(prices[unit], start + 1)) for unit, kind in units.items()}]
            for start in starts
        ]
    return tariff


def _at(price: Decimal | types.TieredPrices, tokens: int) -> Decimal:
    if not isinstance(price, types.TieredPrices):
        return price
    return max(
        ((tier.start, tier.price) for tier in price.tiers if tokens > tier.start), default=(0, price.base)
    )[1]


def _dearest(prices: list[Any]) -> Any:
    return prices[0] if len(prices) == 1 else max(prices)


def _nano(dollars: Decimal, per: int = 1) -> int:
    """Whole nano-dollars, rounded up: some prices in the list are thirds of a cent."""
    return int((dollars * 10**9 / per).to_integral_value(ROUND_CEILING))


_json: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


if __name__ == "__main__":
    TARGET.write_text(rendered(), encoding="utf-8")
