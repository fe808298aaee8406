"""Prices in a configuration: read exactly, and refused in words."""

import json
from pathlib import Path

import pytest

from gateway.configuration.complaints import Complaints
from gateway.configuration.conversion import convert
from gateway.configuration.document import overlay, parse
from gateway.configuration.pricechecks import check_prices
from gateway.settings import Prices, Settings

UPSTREAM = '[[upstreams]]\nname = "o"\nbase_url = "https://x/v1"\n'


def read(text: str, **environ: str) -> tuple[Settings, list[str]]:
    complaints = Complaints()
    document = parse(text.encode(), complaints, "f")
    overlay(document, environ, complaints)
    settings = convert(document, complaints)
    check_prices(settings, complaints)
    return settings, list(complaints)


def prices(text: str, **environ: str) -> Prices:
    settings, complaints = read(text, **environ)
    assert complaints == []
    return settings.prices


def test_numbers_are_exactly_what_is_written() -> None:
    read = prices(
        '[prices.models."gpt-6*"]\ninput = 0.1\ncached_input = 0.000000001\noutput = 1_000\nrequest = 3\n'
        "[prices]\ntiers = { priority = 1.75 }\ntools = { web_search = 0.0025 }\n"
        "unpriced = { input = 0.3, output = 0 }"
    )
    price = read.models["gpt-6*"]
    assert not isinstance(price, list)
    assert (price.input, price.cached_input, price.output) == (100_000_000, 1, 10**12)
    assert (price.request, price.reasoning, price.start) == (3 * 10**9, None, "")
    assert (read.tiers, read.tools) == ({"priority": 1_750_000}, {"web_search": 2_500_000})
    assert read.unpriced is not None
    assert (read.unpriced.input, read.unpriced.output) == (300_000_000, 0)


def test_a_list_of_prices() -> None:
    read = prices(
        '[[prices.models.m]]\ninput=1\noutput=2\n[[prices.models.m]]\nfrom="2026-12-01"\ninput=3\noutput=4'
    )
    each = read.models["m"]
    assert isinstance(each, list)
    assert [(price.start, price.input) for price in each] == [("", 10**9), ("2026-12-01", 3 * 10**9)]


def test_the_environment() -> None:
    read = prices(
        "",
        GATEWAY_PRICES__MODELS='{"m": [{"input": 0.1, "output": 0.2}]}',
        GATEWAY_PRICES__UNPRICED='{"input": 0.3, "output": 1}',
        GATEWAY_PRICES__TIERS="{ flex = 0.4 }",
    )
    assert isinstance(read.models["m"], list)
    assert read.models["m"][0].input == 100_000_000
    assert read.unpriced is not None
    assert read.unpriced.input == 300_000_000
    assert read.tiers == {"flex": 400_000}


@pytest.mark.parametrize("provider", ["auto", "free", "openrouter"])
def test_whose_prices_may_hold(provider: str) -> None:
    assert read(f'{UPSTREAM}prices = "{provider}"')[1] == []


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"source": "ours", "providers": [{"id": "house"}]}))
    text = f'prices.file = "{path}"\n{UPSTREAM}prices = '
    assert read(text + '"house"')[1] == []
    assert read(text + '"openrouter"')[1][0].startswith("upstreams[0].prices: the price list has no provider")


MODEL = "[prices.models.m]\ninput = 1\noutput = 1\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (MODEL.replace("1", "-1", 1), "prices.models.m.input: this is negative; write dollars, 0 or more"),
        (MODEL.replace("1", "1e-10", 1), "prices.models.m.input: this is a number that does not fit here"),
        (MODEL.replace("1", "nan", 1), "prices.models.m.input: this is a number that does not fit here"),
        (MODEL.replace("1", "-inf", 1), "prices.models.m.input: this is a number that does not fit here"),
        (MODEL.replace("1", "true", 1), "prices.models.m.input: this is true or false that does not fit"),
        (MODEL.replace("1", '"1"', 1), "prices.models.m.input: this is text that does not fit here; write"),
        (MODEL.replace("1", "99999999", 1), "prices.models.m.input: this is too large"),
        (MODEL.replace("input", "inputs"), "prices.models.m.inputs: there is no such setting; did you mean"),
        (MODEL.replace("output = 1", ""), "prices.models.m.output: this is missing; write dollars"),
        (MODEL + 'from = "soon"', "prices.models.m.from: this is no day; write one such as 2026-12-01"),
        (MODEL + "from = 2026-12-01", "prices.models.m.from: this is a date or a time that does not fit"),
        (MODEL + "start = 1", "prices.models.m.start: there is no such setting"),
        ("[prices.models]\nm = 5", "prices.models.m: this is a number; write a table of input, cached_input"),
        ("[prices.models]\nm = []", "prices.models.m: this is empty; write a table, or a list"),
        ('[prices.models]\n"" = { input = 1, output = 1 }', "prices.models: a model's name in it is empty"),
        ("[[prices.models.m]]\ninput=1\noutput=1\n" * 2, "prices.models.m[1].from: [0] begins on that day"),
        (MODEL.replace("models.m", 'models."a.b*"').replace("input = 1", ""), 'prices.models."a.b*".input'),
        ("[prices.unpriced]\ninput = 1", "prices.unpriced.output: this is missing"),
        ('[prices.unpriced]\ninput=1\noutput=1\nfrom="2026-12-01"', "prices.unpriced.from: this price holds"),
        ("[prices.tiers]\nflex = -0.5", "prices.tiers.flex: this is negative; write what to multiply by"),
        ("[prices.tiers]\nflex = 0.1234567", "prices.tiers.flex: this is a number that does not fit here"),
        ("[prices.tools]\nweb_search = -1", "prices.tools.web_search: this is negative"),
        ("[prices.tools]\nweb = 1", "prices.tools.web: its calls are not counted; write one of web_search"),
        ('prices.file = "/none.json"', "prices.file: this file cannot be read: no such file or directory"),
        (UPSTREAM + 'prices = "acme"', "upstreams[0].prices: the price list has no provider 'acme'; write"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(text: str, complaint: str) -> None:
    found = read(text)[1]
    assert found
    assert found[0].startswith(complaint)


def test_a_file_that_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"source": "x", "providers": [{"id": 5}]}')
    assert read(f'prices.file = "{path}"')[1][0].startswith(
        "prices.file: this file is no list of prices: Expected"
    )


def test_everything_is_said_at_once() -> None:
    text = "[prices.models.m]\ninput = -1\n[prices.tools]\nweb = 1\n[prices.tiers]\nflex = -1"
    wheres = [complaint.partition(":")[0] for complaint in read(text)[1]]
    assert wheres == [
        "prices.models.m.input",
        "prices.tiers.flex",
        "prices.models.m.output",
        "prices.tools.web",
    ]
