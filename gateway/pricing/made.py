"""`Price`s made of what a price list or the configuration says."""

from collections.abc import Mapping
from typing import Final

from gateway.policy.pricing import MILLION, PUBLISHED_FEES, Price
from gateway.policy.rates import Rates, Steps
from gateway.pricing.catalogue import Entry, Tariff
from gateway.settings import ModelPrice, Prices

# OpenAI's published discount for flex; for priority, twice the standard rate is the most common ratio in its
# list. Both hold only where neither list nor configuration says otherwise.
TIERS: Final[Mapping[str, int]] = {"flex": MILLION // 2, "priority": 2 * MILLION}
_TOOLS: Final[Mapping[str, int]] = {"code_interpreter": PUBLISHED_FEES["code_interpreter"]}
_KINDS: Final = (
    *("input", "cached_input", "cache_write", "input_audio", "cached_audio", "input_image", "cached_image"),
    *("output", "reasoning", "output_audio", "output_image"),
)


def from_list(entry: Entry, name: str, source: str, settings: Prices) -> Price:
    """What a list's entry says. Configured tiers and tools win over the list's own."""
    return Price(
        name=name,
        source=source,
        steps=_steps(entry),
        tiers={tier: _steps(own) for tier, own in entry.tiers.items() if tier not in settings.tiers},
        factors={**TIERS, **settings.tiers},
        request=entry.request,
        fees={**_TOOLS, **entry.tools, **settings.tools},
        note=entry.note,
    )


def from_settings(given: ModelPrice, name: str, source: str, settings: Prices) -> Price:
    """What the configuration says. The checks have seen to it that `input` and `output` are there."""
    said = ((kind, getattr(given, kind)) for kind in _KINDS)
    rates = {kind.replace("cached_input", "cached"): int(rate) for kind, rate in said if rate is not None}
    return Price(
        name=name,
        source=source,
        steps=((0, Rates.of(rates)),),
        factors={**TIERS, **settings.tiers},
        request=given.request,
        fees={**_TOOLS, **settings.tools},
    )


def _steps(tariff: Tariff) -> Steps:
    steps = ((0, tariff.rates), *tariff.steps)
    return tuple((above, Rates.of(dict(rates.items()))) for above, rates in steps)
