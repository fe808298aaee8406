"""Walking the ledger: a gateway's answers, chunk by chunk, and what is made of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gateway.commands.verification import walk


class Chain:
    """The admin API of a gateway with the rows `first` to `last`, whose hashes are like `hash of 7`."""

    def __init__(self, first: int, last: int, broken: int | None = None) -> None:
        self.first, self.last, self.broken = first, last, broken
        self.asked: list[tuple[str, int]] = []

    def call(self, method: str, *path: str, query: Mapping[str, str], timeout: float) -> dict[str, Any]:
        assert (method, path) == ("GET", ("ledger", "verify"))
        after, limit = query.get("after", ""), int(query["limit"])
        self.asked.append((after, limit))
        start = int(after) + 1 if after else self.first
        end = min(start + limit - 1, self.last)
        wrong = self.broken if self.broken is not None and start <= self.broken <= end else None
        end = end if wrong is None else wrong - 1
        last = end if end >= self.first else None
        done = wrong is None and end - start + 1 < limit
        return {
            "rows": end - start + 1,
            "first": start if end >= start else None,
            "last": last,
            "hash": f"hash of {last}" if last else "",
            "done": done,
            "broken": wrong and {"number": wrong, "reason": "it was changed"},
            "next": None if done or wrong is not None else str(end),
        }


def walked(chain: Chain, expected: tuple[int, str] | None = None) -> dict[str, Any]:
    return walk(chain, expected)  # type: ignore[arg-type]


def test_the_parts_make_a_whole() -> None:
    assert walked(Chain(1, 4500)) == {
        "rows": 4500,
        "first": 1,
        "last": 4500,
        "hash": "hash of 4500",
        "broken": None,
    }


@pytest.mark.parametrize("last", [1, 1999, 2000, 2001, 4000])
def test_each_row_is_asked_for_once(last: int) -> None:
    chain = Chain(1, last)
    assert walked(chain)["rows"] == last
    assert chain.asked[0] == ("", 2000)
    assert [after for after, _ in chain.asked[1:]] == [str(n) for n in range(2000, last + 1, 2000)]


def test_an_empty_ledger() -> None:
    found = walked(Chain(1, 0))
    assert (found["rows"], found["last"], found["broken"]) == (0, None, None)
    assert walked(Chain(1, 0), (1, "hash of 1"))["broken"]["number"] == 1


def test_it_ends_where_it_is_broken() -> None:
    found = walked(Chain(1, 4500, broken=2500))
    assert found["broken"] == {"number": 2500, "reason": "it was changed"}
    assert (found["rows"], found["last"]) == (2499, 2499)


@pytest.mark.parametrize("number", [5, 6, 2004, 2005, 3000, 4500])
def test_a_row_that_is_there_as_expected(number: int) -> None:
    chain = Chain(5, 4500)
    assert walked(chain, (number, f"hash of {number}"))["broken"] is None
    assert walked(chain, (number, "hash of another"))["broken"] == {
        "number": number,
        "reason": f"its hash is hash of {number}, and hash of another was expected",
    }


@pytest.mark.parametrize(("number", "words"), [(4501, "ends before it"), (4, "begins after it")])
def test_a_row_that_is_not_there_any_more(number: int, words: str) -> None:
    broken: Sequence[Any] = walked(Chain(5, 4500), (number, "x"))["broken"]
    assert broken["number"] == number  # type: ignore[call-overload]
    assert words in broken["reason"]  # type: ignore[call-overload]
