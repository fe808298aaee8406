"""The price book: what a model costs at an upstream, at a time."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from gateway.policy.models import best
from gateway.policy.pricing import FREE, Price
from gateway.pricing.catalogue import Catalogue, Model, read, since
from gateway.pricing.listing import Listing, spellings
from gateway.pricing.made import from_list, from_settings
from gateway.settings import ModelPrice, Prices, Upstream

LOCAL: Final = "local"  # the gateway's own model
REMEMBERED: Final = 4096  # pairs of upstream and model: clients may invent names
_USUAL: Final = "openai"  # whose prices hold where no provider is known: most compatible servers resell it

# What holds from when on, in ms, the latest first.
Timeline = tuple[tuple[int, Price], ...]


class PriceBook:
    """Raises ValueError if the price list that `settings` names cannot be read."""

    def __init__(self, settings: Prices, upstreams: Sequence[Upstream]) -> None:
        self._settings = settings
        self._catalogue = read(settings.file)
        self._listings: dict[str, Listing] = {}
        self._providers = {each.name: provider_of(self._catalogue, each) for each in upstreams}
        self._timeline = lru_cache(maxsize=REMEMBERED)(self._search)

    def find(self, upstream: str, model: str | None, at: int) -> Price | None:
        """The price that holds at `at` (ms since the epoch). None: nobody knows one.

        Costs about a look-up in a dict when it is asked again. No model: the upstream's own choice, of which
        nobody knows what it costs unless nothing does, or all that is unknown has a price.
        """
        for start, price in self._timeline(upstream, model):
            if at >= start:
                return price
        return None

    def fee(self, upstream: str, operation: str) -> int | None:
        """What each call of an operation with a fixed fee costs, in nano-dollars. None: nobody knows."""
        if self.provider(upstream) == "free":
            return 0
        given = self._settings.operations.get(operation)
        return None if given is None else int(given)

    def provider(self, upstream: str) -> str:
        """Whose prices hold at an upstream; "free" where nothing costs anything."""
        return "free" if upstream == LOCAL else self._providers.get(upstream, _USUAL)

    def names(self, upstream: str) -> list[str]:
        """The names that are priced there, as far as they can be listed: for people who mistyped one."""
        names = set(self._settings.models)
        for listing in self._resold(self.provider(upstream)):
            names.update(listing.names())
        return sorted(names)

    def __repr__(self) -> str:
        kept = self._timeline.cache_info().currsize
        return f"<PriceBook {self._catalogue.source}, {kept} remembered>"

    def _search(self, upstream: str, model: str | None) -> Timeline:
        provider = self.provider(upstream)
        if provider == "free":
            return ((0, FREE),)
        if model is None:
            return self._unpriced()
        configured, listed = self._configured(model), self._listed(provider, model)
        if not configured:
            return listed or self._unpriced()
        first = configured[-1][0]
        return (*configured, *(held for held in listed or self._unpriced() if held[0] < first))

    def _configured(self, name: str) -> Timeline:
        given = best({pattern: pattern for pattern in self._settings.models}, name)
        if given is None:
            return ()
        prices = self._settings.models[given]
        each = prices if isinstance(prices, list) else [prices]
        return _latest_first((since(price.start), self._made(price, given)) for price in each)

    def _unpriced(self) -> Timeline:
        given = self._settings.unpriced
        return () if given is None else ((0, self._made(given, "unpriced")),)

    def _made(self, given: ModelPrice, name: str) -> Price:
        return from_settings(given, name, "configuration", self._settings)

    def _listed(self, provider: str, name: str) -> Timeline:
        found = self._model(provider, name)
        if found is None:
            return ()
        listing, model = found
        source = f"{self._catalogue.source}, {listing.provider.id}"
        return _latest_first(
            (since(entry.start), from_list(entry, model.id, source, self._settings)) for entry in model.prices
        )

    def _model(self, provider: str, name: str) -> tuple[Listing, Model] | None:
        for spelling in spellings(name):
            for listing in self._resold(provider):
                if model := listing.find(spelling):
                    return listing, model
        return None

    def _resold(self, provider: str) -> Iterator[Listing]:
        """The provider's list, and those of the providers that it resells."""
        own = self._listing(provider)
        if own is None:
            return
        yield own
        for other in own.provider.fallback:
            if listing := self._listing(other):
                yield listing

    def _listing(self, provider: str) -> Listing | None:
        if provider not in self._listings:
            found = next((each for each in self._catalogue.providers if each.id == provider), None)
            if found is None:
                return None
            self._listings[provider] = Listing(found)
        return self._listings[provider]


def provider_of(catalogue: Catalogue, upstream: Upstream) -> str:
    """Whose prices hold at an upstream: as its `prices` says, or by its address."""
    if upstream.prices != "auto":
        return upstream.prices
    matching = (each.id for each in catalogue.providers if each.api and re.match(each.api, upstream.base_url))
    return next(matching, _USUAL)


def _latest_first(timeline: Iterator[tuple[int, Price]]) -> Timeline:
    return tuple(sorted(timeline, key=lambda held: held[0], reverse=True))
