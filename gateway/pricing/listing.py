"""The models of one provider by name, found as genai-prices finds them."""

import re
from collections.abc import Iterable, Iterator
from datetime import date

from gateway.pricing.catalogue import Clause, Model, Provider, fits

# `gpt-5.2-20251211`, as some routers write what is `gpt-5.2-2025-12-11`.
_COMPACT_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)(?=-|:|$)")


class Listing:
    """The models of one provider, by name. The first in the list that fits is the one."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._exact: dict[str, int] = {}
        self._clauses: list[tuple[int, Clause]] = []
        for n, model in enumerate(provider.models):
            for clause in model.match or [model.id]:
                if isinstance(clause, str):
                    self._exact.setdefault(clause.lower(), n)
                else:
                    self._clauses.append((n, clause))

    def find(self, name: str) -> Model | None:
        first = self._exact.get(name, len(self.provider.models))
        for n, clause in self._clauses:
            if n >= first:
                break
            if fits(clause, name):
                first = n
        return self.provider.models[first] if first < len(self.provider.models) else None

    def names(self) -> Iterator[str]:
        yield from self._exact

    def __repr__(self) -> str:
        return f"<Listing {self.provider.id}: {len(self.provider.models)} models>"


def spellings(model: str) -> Iterable[str]:
    """The names to look for, best first: as it is, and with a compact date spelt out."""
    name = model.lower()
    dashed = _COMPACT_DATE.sub(_dashed, name)
    return (name,) if dashed == name else (name, dashed)


def _dashed(found: re.Match[str]) -> str:
    try:
        return f"-{date(*map(int, found.groups()))}"
    except ValueError:
        return found[0]
