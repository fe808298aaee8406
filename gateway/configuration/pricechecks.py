"""The prices in a configuration: what a price must say, and that it is said of something there is."""

from collections.abc import Sequence

from gateway.configuration.complaints import Complaints
from gateway.configuration.conversion import inside
from gateway.pricing.catalogue import Catalogue, read, since
from gateway.settings import ModelPrice, Prices, Settings, Upstream

# The tools whose calls are counted in an answer. A fee of any other would never be charged.
TOOLS = ("web_search", "file_search", "code_interpreter", "image_generation")


def check_prices(settings: Settings, complaints: Complaints) -> None:
    """Add a complaint for each price that cannot be used. Reads the price list."""
    prices = settings.prices
    _models(prices, complaints)
    if prices.unpriced is not None:
        _price(prices.unpriced, "prices.unpriced", complaints)
        if prices.unpriced.start:
            complaints.add("prices.unpriced.from", "this price holds at all times", "leave it out")
    for tool in prices.tools:
        if tool not in TOOLS:
            complaints.add(
                inside("prices.tools", tool), "its calls are not counted", f"write one of {', '.join(TOOLS)}"
            )
    try:
        catalogue = read(prices.file)
    except ValueError as error:
        complaints.add(
            "prices.file", f"this file {error}", 'name a list as docs/prices.md has it, or write ""'
        )
        return
    _upstreams(settings.upstreams, catalogue, complaints)


def _models(prices: Prices, complaints: Complaints) -> None:
    for pattern, given in prices.models.items():
        where = inside("prices.models", pattern)
        if not pattern:
            complaints.add("prices.models", "a model's name in it is empty", 'write a model or "gpt-*"')
        if not isinstance(given, list):
            _price(given, where, complaints)
            continue
        if not given:
            complaints.add(where, "this is empty", "write a table, or a list of tables with a from each")
        for n, price in enumerate(given):
            _price(price, f"{where}[{n}]", complaints)
        _different_starts(given, where, complaints)


def _price(price: ModelPrice, where: str, complaints: Complaints) -> None:
    for kind in ("input", "output"):
        if getattr(price, kind) is None and not complaints.has(f"{where}.{kind}"):
            complaints.add(
                f"{where}.{kind}", "this is missing", "write dollars per million tokens; 0 if they are free"
            )
    try:
        since(price.start)
    except ValueError:
        complaints.add(f"{where}.from", "this is no day", "write one such as 2026-12-01")


def _different_starts(prices: Sequence[ModelPrice], where: str, complaints: Complaints) -> None:
    starts = [price.start for price in prices]
    for n, start in enumerate(starts):
        if (first := starts.index(start)) != n:
            complaints.add(f"{where}[{n}].from", f"[{first}] begins on that day, too", "write another day")


def _upstreams(upstreams: Sequence[Upstream], catalogue: Catalogue, complaints: Complaints) -> None:
    known = {provider.id for provider in catalogue.providers}
    for n, upstream in enumerate(upstreams):
        if upstream.prices not in known | {"auto", "free"}:
            complaints.add(
                f"upstreams[{n}].prices",
                f"the price list has no provider {upstream.prices!r}",
                'write "auto", "free" or one of ' + ", ".join(sorted(known)),
            )
