"""Where a list goes on is told in a way that tells nothing else."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.cursor import opened_in, sealed

SECRET = b"s" * 32


@given(st.text(max_size=200), st.text(max_size=20))
def test_a_cursor_is_opened_by_whom_it_was_given_to(id: str, owner: str) -> None:
    cursor = sealed(SECRET, owner, id)
    assert (
        opened_in(SECRET, owner, f"limit=1&after={cursor}&x[]=") == f"limit=1&after={quote(id, safe='')}&x[]="
    )
    assert cursor == sealed(SECRET, owner, id), "a page that is asked for twice is the same"
    with pytest.raises(InvalidRequest):
        opened_in(SECRET, owner + "2", f"before={cursor}")
    with pytest.raises(InvalidRequest):
        opened_in(b"t" * 32, owner, f"after={cursor}")


@given(st.integers(min_value=7), st.characters(codec="ascii", categories=["L", "N"]))
def test_no_cursor_can_be_made(at: int, letter: str) -> None:
    cursor = sealed(SECRET, "team:a", "vs_68d0f00dfeed")
    at = 7 + at % (len(cursor) - 7)
    forged = cursor[:at] + letter + cursor[at + 1 :]
    for each in (forged, cursor[:at], cursor + letter):
        if each != cursor:
            with pytest.raises(InvalidRequest):
                opened_in(SECRET, "team:a", f"after={each}")


def test_it_shows_nothing_of_the_id() -> None:
    shown = {sealed(SECRET, "team:a", f"vs_{number}")[7:27] for number in range(50)}
    assert len(shown) == 50
    assert sealed(SECRET, "team:a", "vs_1") != sealed(SECRET, "team:b", "vs_1")


@pytest.mark.parametrize("query", ["", "after=vs_1", "x=gwpage_abc", "after", "%61fter=vs_1", "after=%E9"])
def test_what_is_no_cursor_stays_as_it_is(query: str) -> None:
    assert opened_in(SECRET, "team:a", query) == query


@pytest.mark.parametrize(
    "query", ["%61fter=gwpage_x", "after=%67wpage_x", "before=gwpage_%00", "after=gwpage_"]
)
def test_however_it_is_spelt(query: str) -> None:
    with pytest.raises(InvalidRequest):
        opened_in(SECRET, "team:a", query)
