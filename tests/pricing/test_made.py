"""Prices made of a list's entry and of the configuration, and which of the two has the last word."""

from gateway.policy.pricing import MILLION
from gateway.policy.records import Usage
from gateway.pricing.catalogue import Entry, Tariff
from gateway.pricing.made import from_list, from_settings
from gateway.settings import Dollars, Factor, ModelPrice, Prices

DOLLAR = 10**9


def test_an_entry_of_a_list() -> None:
    entry = Entry(
        rates={"input": 2, "cached": 1, "output": 8},
        steps=[(100, {"input": 4, "output": 16})],
        tiers={"priority": Tariff({"input": 5, "output": 20})},
        request=7,
        tools={"web_search": 10},
        note="said",
    )
    price = from_list(entry, "m", "ours", Prices())
    assert [(above, rates.input, rates.cached) for above, rates in price.steps] == [(0, 2, 1), (100, 4, 4)]
    assert price.tiers["priority"][0][1].output == 20
    assert price.factors == {"flex": MILLION // 2, "priority": 2 * MILLION}
    assert price.fees == {"web_search": 10, "code_interpreter": 30_000_000}
    assert (price.name, price.source, price.request, price.note) == ("m", "ours", 7, "said")


def test_the_configuration_has_the_last_word() -> None:
    entry = Entry(rates={"input": 2}, tiers={"priority": Tariff({"input": 5})}, tools={"web_search": 10})
    settings = Prices(
        tiers={"priority": Factor(3 * MILLION)},
        tools={"web_search": Dollars(1), "code_interpreter": Dollars(2)},
    )
    price = from_list(entry, "m", "ours", settings)
    assert price.tiers == {}
    assert price.factors == {"flex": MILLION // 2, "priority": 3 * MILLION}
    assert price.fees == {"web_search": 1, "code_interpreter": 2}


def test_every_kind_of_the_configuration_is_counted() -> None:
    kinds = (
        *("input", "cached_input", "cache_write", "input_audio", "cached_audio", "input_image"),
        *("cached_image", "output", "reasoning", "output_audio", "output_image"),
    )
    given = ModelPrice(**{kind: Dollars(n * DOLLAR) for n, kind in enumerate(kinds, 1)}, request=Dollars(5))
    price = from_settings(given, "m", "configuration", Prices(tools={"web_search": Dollars(9)}))
    rates = price.steps[0][1]
    assert rates.cached == 2 * DOLLAR
    assert [getattr(rates, kind) for kind in kinds if kind != "cached_input"] == [
        n * DOLLAR for n, kind in enumerate(kinds, 1) if kind != "cached_input"
    ]
    assert price.cost(Usage(web_searches=1)) == 5 + 9
    assert price.factors["priority"] == 2 * MILLION
