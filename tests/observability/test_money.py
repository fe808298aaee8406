from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.observability.money import Dollars, Money, overrun
from gateway.policy.ledger import Row
from gateway.policy.records import Claim, Limit, Unit, Window
from tests.exchanges import ended

BUDGET = Limit("$5/day", Unit.DOLLARS, 5 * 10**9, Window.DAY, "team:research")


def parsed(registry: CollectorRegistry) -> dict[str, float]:
    """Everything as Prometheus reads it from the page."""
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def shown(*exchanges: Any) -> dict[str, float]:
    registry = CollectorRegistry()
    money = Money(registry)
    for exchange in exchanges:
        money.observe(exchange, "gpt-6-luna", "research")
    return parsed(registry)


@given(st.lists(st.integers(0, 10**12), max_size=200))
def test_no_sum_is_ever_rounded(costs: list[int]) -> None:
    registry = CollectorRegistry()
    dollars = Dollars("spent_dollars", "Spent.", "team")
    registry.register(dollars)
    for nano in costs:
        dollars.add(nano, "research")
    value = parsed(registry).get("spent_dollars_total research", 0.0)
    assert round(value * 1e9) == sum(costs)


def test_a_million_odd_amounts_do_not_drift() -> None:
    registry = CollectorRegistry()
    dollars = Dollars("spent_dollars", "Spent.")
    registry.register(dollars)
    exact, drifting = 0, 0.0
    for number in range(1_000_000):
        nano = 1_733_333_333 + number % 7
        dollars.add(nano)
        exact += nano
        drifting += nano / 1e9
    assert round(parsed(registry)["spent_dollars_total"] * 1e9) == exact
    assert round(drifting * 1e9) != exact  # what adding floats would have shown


def test_it_is_exact_up_to_two_million_dollars() -> None:
    registry = CollectorRegistry()
    dollars = Dollars("spent_dollars", "Spent.")
    registry.register(dollars)
    dollars.add(2**51 - 1)
    assert round(parsed(registry)["spent_dollars_total"] * 1e9) == 2**51 - 1


def test_past_the_most_what_is_new_is_other() -> None:
    dollars = Dollars("spent_dollars", "Spent.", "team", most=3)
    for number in range(1000):
        dollars.add(1, f"team{number}")
    dollars.add(5, "team0")
    (family,) = dollars.collect()
    sums = {sample.labels["team"]: round(sample.value * 1e9) for sample in family.samples}
    assert sums == {"team0": 6, "team1": 1, "team2": 1, "other": 997}
    assert repr(dollars) == "<Dollars spent_dollars 1005 nano-dollars>"


def test_counts_what_was_charged_and_what_a_cached_answer_saved() -> None:
    page = shown(ended(cost=1_234_567), ended(cache="hit", dispatched=False, cost=0, saved=89))
    assert page["gateway_cost_dollars_total gpt-6-luna research"] == 0.001234567
    assert page["gateway_saved_dollars_total research"] == 8.9e-8


def test_what_nobody_has_a_price_for_is_counted_as_that_and_not_as_money() -> None:
    page = shown(ended(cost=None, priced=False))
    assert page["gateway_unpriced_requests_total gpt-6-luna"] == 1
    assert not [name for name in page if name.startswith("gateway_cost_dollars_total")]


def test_what_was_never_asked_of_an_upstream_costs_nothing_and_has_no_price() -> None:
    page = shown(ended(dispatched=False, cost=0, priced=False))
    assert [name for name, value in page.items() if value] == []


@pytest.mark.parametrize(
    ("cost", "worst", "claims", "over"),
    [
        (12, 12, (Claim(BUDGET, 12, held=True),), 0),
        (None, 10, (Claim(BUDGET, 12, held=True),), 0),
        (13, 10, (), 0),  # nobody's dollars are limited: nothing was reserved that could be overdrawn
        (13, 20, (Claim(BUDGET, 12, held=True),), 1),  # learned: less than the worst was reserved
        (13, None, (Claim(BUDGET, 12, held=True), Claim(BUDGET, 8, held=True)), 5),
    ],
)
def test_an_overrun_is_what_was_charged_above_the_reservation(
    cost: int | None, worst: int | None, claims: tuple[Claim, ...], over: int
) -> None:
    assert overrun(ended(cost=cost, worst=worst, claims=claims)) == over


def test_neither_tokens_nor_a_limit_in_shadow_mode_can_be_overdrawn_in_dollars() -> None:
    shadow = Limit("$5/day", Unit.DOLLARS, 5 * 10**9, Window.DAY, "gateway", shadow=True)
    tokens = Limit("1k tokens/day", Unit.TOKENS, 1000, Window.DAY, "gateway")
    claims = (Claim(shadow, 1, held=True), Claim(tokens, 1, held=True))
    assert overrun(ended(cost=13, claims=claims)) == 0


def test_a_lease_is_charged_and_what_was_charged_twice_is_shown() -> None:
    registry = CollectorRegistry()
    money = Money(registry)
    money.expired(Row(id="req_1", time=0, key="a", endpoint="responses", cost=500), "gpt-6-luna", "none")
    money.observe(ended(cost=200), "gpt-6-luna", "none")
    money.refunded(500)
    money.expired(Row(id="req_2", time=0, key="a", endpoint="responses", cost=None), "other", "none")
    page = parsed(registry)
    charged = page["gateway_cost_dollars_total gpt-6-luna none"] - page["gateway_refunded_dollars_total"]
    assert round(charged * 1e9) == 200
    assert page["gateway_unpriced_requests_total other"] == 1
