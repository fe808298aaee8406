"""Queries hold no text of a caller: each value stands in its own place. What they find is in test_sink."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import queries
from gateway.ledger.filter import Filter

CANARY = "canary"
FILTERS = st.builds(
    Filter,
    key=st.none() | st.just(CANARY),
    team=st.none() | st.just(CANARY),
    model=st.none() | st.just(CANARY),
    since=st.none() | st.integers(0, 2**53),
    until=st.none() | st.integers(0, 2**53),
    tag=st.none() | st.just(f"{CANARY}={CANARY}"),
)


@given(FILTERS, st.none() | st.just("5-7"), st.integers(1, 9))
def test_each_value_has_its_place(where: Filter, place: str | None, count: int) -> None:
    for make in (queries.newest, queries.oldest):
        query, values = make(place, count, where, "has(?, ?)")
        assert query.count("?") == len(values)
        assert CANARY not in query
        assert values[-1] == count
        if place:
            assert values[-3:-1] == [5, 7]


def test_nothing_in_a_query_is_taken_for_a_placeholder_of_postgresql() -> None:
    for query in (queries.INSERT, queries.spent(0)[0], queries.whole("1-1", 1)[0]):
        assert "%" not in query
