"""Names find the model that they find in genai-prices: the first that fits (`test_book` compares all)."""

from gateway.pricing.catalogue import Model, Provider
from gateway.pricing.listing import Listing, spellings


def test_the_first_model_that_fits_is_found() -> None:
    models = [
        Model("a", ["exact", {"starts_with": "x-"}]),
        Model("b", ["x-1", {"contains": "exact"}]),
        Model("UPPER"),
    ]
    listing = Listing(Provider("p", models=models))
    found = {
        name: getattr(listing.find(name), "id", None) for name in ("exact", "x-1", "inexact", "upper", "no")
    }
    assert found == {"exact": "a", "x-1": "a", "inexact": "b", "upper": "UPPER", "no": None}


def test_spellings() -> None:
    assert spellings("GPT-5.2-20251211") == ("gpt-5.2-20251211", "gpt-5.2-2025-12-11")
    assert spellings("gpt-5.2-20251399:x") == ("gpt-5.2-20251399:x",)
    assert spellings("gpt-5.2") == ("gpt-5.2",)
