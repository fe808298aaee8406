"""The built-in price list is what its generator makes of the genai-prices that is installed."""

import importlib.util
import json
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from genai_prices import types

ROOT = Path(__file__).parent.parent.parent
CATALOGUE = ROOT / "gateway" / "pricing" / "catalogue.json"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "deploy" / "prices" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_committed_is_what_is_generated(generator: ModuleType) -> None:
    committed = CATALOGUE.read_text(encoding="utf-8")
    source = json.loads(committed)["source"]
    if source != f"genai-prices {version('genai-prices')}":
        pytest.skip(
            f"the list was made from {source}, and {version('genai-prices')} is installed: make prices"
        )
    assert generator.TARGET == CATALOGUE
    assert committed == generator.rendered(), "run: make prices"


def model(generator: ModuleType, prices: object, **more: object) -> list[dict[str, object]]:
    info = types.ModelInfo(id="m", match=types.ClauseEquals("M"), prices=prices, **more)  # type: ignore[arg-type]
    return generator._model(info).get("prices", [])  # type: ignore[no-any-return]


def price(**units: object) -> types.ModelPrice:
    return types.ModelPrice(**{unit: types.Decimal(str(value)) for unit, value in units.items()})


def test_dollars_become_nano_dollars_and_are_never_rounded_down(generator: ModuleType) -> None:
    thirds = price(input_mtok="0.0833333333333333", output_mtok="1.5", requests_kcount="5")
    assert model(generator, thirds) == [
        {"rates": {"input": 83_333_334, "output": 1_500_000_000}, "request": 5_000_000}
    ]


def test_what_is_not_sold_by_the_token_has_no_price(generator: ModuleType) -> None:
    assert model(generator, price(audio_hours=1)) == []
    assert model(generator, price(input_mtok=1, output_mtok=1, audio_hours=1)) == []


def test_an_empty_price_is_free_only_where_the_name_says_so(generator: ModuleType) -> None:
    def empty(id: str) -> types.ModelInfo:
        return types.ModelInfo(id=id, match=types.ClauseEquals(id), prices=types.ModelPrice())

    assert generator._model(empty("m")) == {"id": "m"}
    assert generator._model(empty("m:free"))["prices"] == [{"rates": {"input": 0, "output": 0}}]


def test_every_day_on_which_something_changes_is_an_entry(generator: ModuleType) -> None:
    day = types.StartDateConstraint(types.date(2026, 7, 30))
    later = types.StartDateConstraint(types.date(2026, 10, 12))
    dated = [
        types.ConditionalPrice(prices=price(input_mtok=2)),
        types.ConditionalPrice(day, prices=price(input_mtok=1)),
    ]
    tier = types.PriceVariant({"service_tier": "priority"}, price(input_mtok=3), later)
    batch = types.PriceVariant({"processing": "batch"}, price(input_mtok=9))
    assert model(generator, dated, price_variants=[tier, batch]) == [
        {"rates": {"input": 2 * 10**9}},
        {"from": "2026-07-30", "rates": {"input": 10**9}},
        {
            "from": "2026-10-12",
            "rates": {"input": 10**9},
            "tiers": {"priority": {"rates": {"input": 3 * 10**9}}},
        },
    ]


def test_of_the_hours_of_a_day_the_dearest_is_taken(generator: ModuleType) -> None:
    night = types.TimeOfDateConstraint(types.time(1), types.time(4))
    hours = [
        types.ConditionalPrice(prices=price(input_mtok=1)),
        types.ConditionalPrice(night, prices=price(input_mtok=2)),
    ]
    assert model(generator, hours) == [
        {"rates": {"input": 2 * 10**9}, "note": "the dearest hours of the day"}
    ]


def test_steps(generator: ModuleType) -> None:
    tiers = [types.Tier(start=100, price=types.Decimal(2)), types.Tier(start=200, price=types.Decimal(3))]
    stepped = types.ModelPrice(
        input_mtok=types.TieredPrices(types.Decimal(1), tiers), output_mtok=types.Decimal(7)
    )
    flat = 7 * 10**9
    assert model(generator, stepped) == [
        {
            "rates": {"input": 10**9, "output": flat},
            "steps": [
                [100, {"input": 2 * 10**9, "output": flat}],
                [200, {"input": 3 * 10**9, "output": flat}],
            ],
        }
    ]
