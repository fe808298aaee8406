"""The price book: whose price holds, when, and that it is what genai-prices itself calculates."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from genai_prices import types
from genai_prices.data import providers
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.pricing import FREE, Price
from gateway.policy.records import Usage
from gateway.pricing.book import REMEMBERED, PriceBook
from gateway.pricing.catalogue import read, since
from gateway.settings import Dollars, ModelPrice, Prices, Upstream

DOLLAR = 10**9
NOW = since("2026-11-22")
OPENAI = next(each for each in providers if each.id == "openai")
DIRECT = Upstream(name="openai", base_url="https://api.openai.com/v1")
ROUTER = Upstream(name="router", base_url="https://openrouter.ai/api/v1")
PROXY = Upstream(name="proxy", base_url="http://10.0.0.1:4000/v1")
DEEPSEEK = Upstream(name="deepseek", base_url="https://api.deepseek.com")

same_list = pytest.mark.skipif(
    read().source != f"genai-prices {version('genai-prices')}",
    reason="the built-in list was made from another version of genai-prices: make prices",
)


def book(upstreams: tuple[Upstream, ...] = (DIRECT, ROUTER, PROXY, DEEPSEEK), **settings: Any) -> PriceBook:
    return PriceBook(Prices(**settings), upstreams)


def flat(dollars: int, **more: Any) -> ModelPrice:
    return ModelPrice(input=Dollars(dollars * DOLLAR), output=Dollars(dollars * DOLLAR), **more)


def input_rate(price: Price | None) -> int | None:
    return None if price is None else price.steps[0][1].input


BOOK = book()


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    n = st.integers(0, 400_000)
    old_audio, old_image, old_text = draw(n), draw(n), draw(n)
    audio, image, written = draw(n), draw(n), draw(n)
    return Usage(
        input=old_audio + old_image + old_text + audio + image + written + draw(n),
        cached=old_audio + old_image + old_text,
        cached_audio=old_audio,
        cached_image=old_image,
        input_audio=audio + old_audio,
        input_image=image + old_image,
        cache_write=written,
        output_audio=(spoken := draw(n)),
        output_image=(drawn := draw(n)),
        output=spoken + drawn + draw(n),
        web_searches=draw(st.integers(0, 50)),
        file_searches=draw(st.integers(0, 50)),
        tier=draw(st.sampled_from(["", "default", "flex", "priority", "fast"])),
    )


def theirs(usage: Usage) -> types.Usage:
    """The same usage in the words of genai-prices."""
    return types.Usage(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cached,
        cache_write_tokens=usage.cache_write,
        input_audio_tokens=usage.input_audio,
        input_image_tokens=usage.input_image,
        cache_audio_read_tokens=usage.cached_audio,
        cache_image_read_tokens=usage.cached_image,
        output_audio_tokens=usage.output_audio,
        output_image_tokens=usage.output_image,
        web_searches=usage.web_searches,
        storage_searches=usage.file_searches,
    )


def spelled(clause: Any) -> list[str]:
    inner = [*getattr(clause, "or_", ()), *getattr(clause, "and_", ())]
    if inner:
        return [name for each in inner for name in spelled(each)]
    (what,) = vars(clause).values()
    return [what, f"{what}-20261114", f"x{what}", what.upper()]


@cache
def priced() -> list[tuple[types.ModelInfo, str]]:
    """The models of OpenAI that cost something by the token, each with a name that it goes by."""
    found = []
    for model in OPENAI.models:
        named = [name for name in (model.id, *spelled(model.match)) if _first(name) is model]
        if named and BOOK.find("openai", named[0], NOW) is not None:
            found.append((model, named[0]))
    return found


def _first(name: str) -> types.ModelInfo | None:
    return OPENAI.find_model(name)


@same_list
@pytest.mark.parametrize(("model", "name"), priced(), ids=[name for _, name in priced()])
@hypothesis.settings(max_examples=20)
@given(usages(), st.sampled_from(["2024-01-01", "2026-08-20", "2026-08-21", "2026-10-12", "2026-12-24"]))
def test_every_model_of_openai_costs_what_genai_prices_says(
    model: types.ModelInfo, name: str, usage: Usage, day: str
) -> None:
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    price = BOOK.find("openai", name, since(day))
    assert price is not None
    usage = expressible(usage, price, model.get_prices(at))
    calculated = model.calc_price(
        theirs(usage),
        OPENAI,
        genai_request_timestamp=at,
        price_context={"service_tier": usage.tier} if usage.tier else None,
    )
    assert price.cost(usage) == math.ceil(Fraction(calculated.total_price) * DOLLAR)


def expressible(usage: Usage, ours: Price, prices: types.ModelPrice) -> Usage:
    """Without what only we price: calls, tiers and output whose prices genai-prices does not have."""
    known = {unit for unit, price in vars(prices).items() if price is not None}
    speaks = "output_mtok" in known or ours.name == "moderation"
    return replace(
        usage,
        web_searches=usage.web_searches if "web_searches_kcount" in known else 0,
        file_searches=usage.file_searches if "storage_searches_kcount" in known else 0,
        tier=usage.tier if usage.tier in ("default", *ours.tiers) else "",
        **({} if speaks else {"output": 0, "output_audio": 0, "output_image": 0}),
    )


@same_list
def test_only_what_is_not_sold_by_the_token_is_without_a_price() -> None:
    missing = {model.id for model in OPENAI.models} - {model.id for model, _ in priced()}
    assert missing == {
        *("gpt-live-1", "gpt-live-transcribe", "gpt-realtime-translate", "gpt-realtime-whisper"),
        *("gpt-transcribe", "whisper-1", "tts-1", "tts-1-hd"),
    }


@cache
def names() -> list[tuple[str, str]]:
    """Every name that a clause spells out, and some that it only describes."""
    found = []
    for provider in providers:
        for model in provider.models:
            found.append((provider.id, model.id))
            found += [(provider.id, name) for name in spelled(model.match)]
    return found


@same_list
def test_a_name_finds_the_model_that_genai_prices_finds() -> None:
    snapshot = get_snapshot()
    books = {each.id: PriceBook(Prices(), [Upstream("u", "", prices=each.id)]) for each in providers}
    for provider, name in names():
        try:
            expected = snapshot.find_provider_model(name, None, provider, None)[1].id
        except LookupError:
            expected = None
        found = books[provider]._model(provider, name)
        if found is None:
            # Providers that sell nothing by the token are not in our list.
            assert expected is None or books[provider]._listing(provider) is None, (provider, name)
        else:
            assert found[1].id == expected, (provider, name)


@same_list
@pytest.mark.parametrize(
    "url",
    [
        *("https://api.openai.com/v1", "https://x.openai.azure.com/openai", "https://openrouter.ai/api/v1"),
        *("https://api.groq.com/openai/v1", "https://router.huggingface.co/together/v1"),
        *("https://generativelanguage.googleapis.com/v1beta/openai", "https://api.deepseek.com"),
    ],
)
def test_an_address_finds_the_provider_that_genai_prices_finds(url: str) -> None:
    expected = get_snapshot().find_provider(None, None, url).id
    assert PriceBook(Prices(), [Upstream("u", url)]).provider("u") == expected


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("GPT-4o", "gpt-4o"),
        ("gpt-4o-2024-11-20", "gpt-4o"),
        ("gpt-5.2-20251211", "gpt-5.2"),
        ("ft:gpt-4o-mini-2024-07-18:org::abc", "ft:gpt-4o-mini"),
        ("gpt-6-luna-2027-01-01", "gpt-6-luna"),
        ("omni-moderation-latest", "moderation"),
    ],
)
def test_names(name: str | None, listed: str) -> None:
    price = BOOK.find("openai", name, NOW)
    assert price is not None
    assert (price.name, price.source) == (listed, f"{read().source}, openai")


def test_moderations_cost_nothing() -> None:
    price = BOOK.find("openai", "text-moderation-stable", NOW)
    assert price is not None
    assert price.cost(Usage(input=10**6, output=10**6)) == 0


def test_nobody_knows() -> None:
    assert BOOK.find("openai", "no-such-model", NOW) is None
    assert BOOK.find("openai", "whisper-1", NOW) is None  # sold by the hour
    assert BOOK.find("openai", "openai/gpt-4o", NOW) is None  # a router's name
    assert BOOK.find("router", "openai/gpt-4o", NOW) is not None


def test_of_a_model_that_nobody_names_only_the_unknown_has_a_price() -> None:
    assert BOOK.find("openai", None, NOW) is None
    price = book(unpriced=flat(50)).find("openai", None, NOW)
    assert price is not None
    assert price.name == "unpriced"
    free = BOOK.find("local", None, NOW)
    assert free is not None
    assert free.free


def test_a_fee_is_what_the_configuration_says_or_nobody_knows() -> None:
    given = {"batches.create": Dollars(5 * DOLLAR // 2), "videos.create": Dollars(0)}
    own = Upstream(name="proxy", base_url="http://10.0.0.1:4000/v1", prices="free")
    known = book((DIRECT, own), operations=given)
    assert known.fee("openai", "batches.create") == 5 * DOLLAR // 2
    assert known.fee("openai", "videos.create") == 0
    assert known.fee("openai", "containers.create") is None
    assert [known.fee(name, "containers.create") for name in ("local", "proxy")] == [0, 0]


def test_whose_prices_hold() -> None:
    upstreams = (
        *(DIRECT, ROUTER, PROXY),
        Upstream("told", "http://10.0.0.1", prices="deepseek"),
        Upstream("ours", "http://10.0.0.1", prices="free"),
        Upstream("azure", "https://x.openai.azure.com"),
    )
    found = book(upstreams)
    assert [found.provider(each.name) for each in upstreams] == [
        *("openai", "openrouter", "openai", "deepseek", "free", "azure")
    ]
    assert found.find("ours", "anything", NOW) is FREE
    assert found.find("local", "smollm2", NOW) is FREE
    assert input_rate(found.find("azure", "claude-2", NOW)) == 8 * DOLLAR  # azure resells anthropic


def test_effective_dates() -> None:
    change = since("2026-08-21")
    rates = [input_rate(BOOK.find("openai", "gpt-5.6-sol", at)) for at in (0, change - 1, change, NOW)]
    assert rates == [5 * DOLLAR, 5 * DOLLAR, 4 * DOLLAR, 4 * DOLLAR]


def test_the_dearest_hours_hold_all_day() -> None:
    price = BOOK.find("deepseek", "deepseek-chat", NOW)
    assert price is not None
    assert input_rate(price) == max(Decimal("0.135"), Decimal("0.27")) * DOLLAR
    assert price.note == "the dearest hours of the day"


def test_the_configuration_comes_before_the_list() -> None:
    known = book(models={"gpt-*": flat(1), "gpt-4*": flat(2), "gpt-4o": flat(3), "mine": flat(4)})
    found = {name: known.find("openai", name, NOW) for name in ("gpt-5", "gpt-4.1", "gpt-4o", "mine", "o3")}
    assert {name: input_rate(price) for name, price in found.items()} == {
        "gpt-5": DOLLAR,
        "gpt-4.1": 2 * DOLLAR,
        "gpt-4o": 3 * DOLLAR,
        "mine": 4 * DOLLAR,
        "o3": 2 * DOLLAR,
    }
    price = found["gpt-4.1"]
    assert price is not None
    assert (price.name, price.source) == ("gpt-4*", "configuration")


def test_configured_dates() -> None:
    first, second = since("2026-12-01"), since("2027-01-01")
    later = [flat(9, start="2027-01-01"), flat(8, start="2026-12-01")]
    known = book(models={"gpt-4o": later, "mine": later}, unpriced=flat(50))
    moments = (NOW, first - 1, first, second - 1, second)
    assert [input_rate(known.find("openai", "gpt-4o", at)) for at in moments] == [
        *(5 * DOLLAR // 2, 5 * DOLLAR // 2),  # the list's, until then
        *(8 * DOLLAR, 8 * DOLLAR, 9 * DOLLAR),
    ]
    assert input_rate(known.find("openai", "mine", NOW)) == 50 * DOLLAR
    assert book(models={"mine": later}).find("openai", "mine", NOW) is None


def test_what_to_count_for_the_unknown() -> None:
    known = book(unpriced=flat(50))
    assert input_rate(known.find("openai", "no-such-model", NOW)) == 50 * DOLLAR
    assert input_rate(known.find("openai", "gpt-4o", NOW)) == 5 * DOLLAR // 2


def test_a_list_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    models = [{"id": "mine", "prices": [{"rates": {"input": 5}}]}]
    path.write_text(json.dumps({"source": "ours", "providers": [{"id": "openai", "models": models}]}))
    own = book(file=str(path))
    assert input_rate(own.find("proxy", "mine", NOW)) == 5
    assert own.find("openai", "gpt-4o", NOW) is None
    assert own.find("router", "mine", NOW) is not None  # found by no address: the usual provider's
    with pytest.raises(ValueError, match="cannot be read"):
        book(file=str(tmp_path / "none.json"))


def test_invented_names_do_not_pile_up() -> None:
    invented = book()
    for n in range(REMEMBERED + 500):
        assert invented.find("openai", f"invented-{n}", NOW) is None
    assert repr(invented) == f"<PriceBook {read().source}, {REMEMBERED} remembered>"
    assert invented.find("openai", "gpt-4o", NOW) is invented.find("openai", "gpt-4o", NOW)


def test_near_names() -> None:
    known = book(models={"mine": flat(1)})
    assert {"gpt-4o", "mine"} <= set(known.names("openai"))
    assert "claude-2" not in known.names("openai")
