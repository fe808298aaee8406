"""A price list is read whole or not at all, and names find what they found where it comes from."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.pricing.catalogue import BUILT_IN, fits, read, since
from gateway.pricing.listing import Listing


def entry(**more: Any) -> dict[str, Any]:
    return {"rates": {"input": 1, "output": 2}, **more}


def written(path: Path, *prices: Any, **provider: Any) -> str:
    models = provider.pop("models", [{"id": "m", "prices": list(prices)}])
    path.write_text(json.dumps({"source": "ours", "providers": [{"id": "p", "models": models, **provider}]}))
    return str(path)


def test_the_built_in_list() -> None:
    catalogue = read()
    assert catalogue.source.startswith("genai-prices ")
    openai = next(each for each in catalogue.providers if each.id == "openai")
    model = Listing(openai).find("gpt-4o")
    assert model is not None
    assert model.prices[0].rates == {"input": 2_500_000_000, "cached": 1_250_000_000, "output": 10**10}
    assert model.prices[0].tools == {"web_search": 10_000_000, "file_search": 2_500_000}


def test_the_built_in_list_would_pass_as_a_file() -> None:
    assert read(str(BUILT_IN)) == read()


def test_a_file(tmp_path: Path) -> None:
    first = entry(steps=[[10, {"input": 3}]], tiers={"flex": {"rates": {"input": 0}}}, tools={"x": 5})
    catalogue = read(written(tmp_path / "p.json", first, entry(**{"from": "2026-12-01"}), api="https://x"))
    model = catalogue.providers[0].models[0]
    assert [price.start for price in model.prices] == ["", "2026-12-01"]
    assert model.prices[0].steps == [(10, {"input": 3})]
    assert model.prices[0].tiers["flex"].rates == {"input": 0}


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (entry(rates={"input": -1}), "-1|>= 0"),
        (entry(rates={"input": 1.5}), "int"),
        (entry(rates={"inputs": 1}), "inputs"),
        (entry(rates={"output": 1}), "rates without 'input'"),
        (entry(tiers={"flex": {"rates": {}}}), "rates without 'input'"),
        (entry(steps=[[10, {}]]), "rates without 'input'"),
        (entry(steps=[[10, {"input": 1}], [10, {"input": 2}]]), "do not ascend"),
        (entry(**{"from": "tomorrow"}), "tomorrow"),
        (entry(price=5), "price"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_words(tmp_path: Path, price: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(written(tmp_path / "p.json", price))


@pytest.mark.parametrize(
    "clause", [{"like": "x"}, {"regex": "("}, {"starts_with": 5}, {"or": [{"no": 1}]}, 5]
)
def test_a_match_that_is_wrong_is_refused(tmp_path: Path, clause: Any) -> None:
    with pytest.raises(ValueError, match=r"wrong|no list of prices"):
        read(written(tmp_path / "p.json", models=[{"id": "m", "match": [clause]}]))


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: no such file"):
        read(str(tmp_path / "none.json"))
    (tmp_path / "p.json").write_bytes(b"\xff{")
    with pytest.raises(ValueError, match="is no list of prices"):
        read(str(tmp_path / "p.json"))


@pytest.mark.parametrize(
    ("clause", "name", "yes"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ({"starts_with": "ft:gpt"}, "ft:gpt-4o:org::id", True),
        ({"ends_with": ":free"}, "x:free", True),
        ({"contains": "moderation"}, "omni-moderation-latest", True),
        ({"regex": "^o[134]$"}, "o3", True),
        ({"regex": "^o[134]$"}, "o3-mini", False),
        ({"and": [{"contains": "a"}, {"or": ["b", {"ends_with": "c"}]}]}, "abc", True),
        ({"and": [{"contains": "a"}, "b"]}, "ab", False),
    ],
)
def test_clauses(clause: Any, name: str, yes: bool) -> None:
    assert fits(clause, name) is yes


def test_days() -> None:
    assert (since(""), since("1970-01-02")) == (0, 86_400_000)
    with pytest.raises(ValueError, match="month"):
        since("2026-13-01")
