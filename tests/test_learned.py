import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.learned import DAY_MS, ENOUGH, GENERATION, Learned, Lengths, bucket_of, edge_of
from gateway.policy.ledger import Row

ME = ("alice", "chat.completions", "gpt-4o")


def told(lengths: list[int], now: int = 0, step: int = 0) -> Learned:
    learned = Learned()
    for at, tokens in enumerate(lengths):
        learned.observe(*ME, tokens, now + at * step)
    return learned


@given(st.integers(0, 2**30))
def test_a_bucket_holds_what_is_in_it_and_is_an_eighth_wide(tokens: int) -> None:
    bucket = bucket_of(tokens)
    assert tokens <= edge_of(bucket) <= tokens * 9 // 8
    assert bucket == 0 or edge_of(bucket - 1) < tokens


def test_absurd_lengths_are_the_greatest() -> None:
    assert bucket_of(10**12) == bucket_of(2**30)


def test_nothing_is_expected_before_there_was_enough() -> None:
    assert Learned().expect(*ME) is None
    assert told([7] * (ENOUGH - 1)).expect(*ME) is None
    assert told([7] * ENOUGH).expect(*ME) == 7


def test_clients_endpoints_and_models_are_told_apart() -> None:
    learned = told([7] * ENOUGH)
    for other in (("bob", *ME[1:]), (ME[0], "responses", ME[2]), (*ME[:2], "o3")):
        assert learned.expect(*other) is None


@given(st.lists(st.integers(0, 200_000), min_size=ENOUGH, max_size=500))
def test_99_of_100_fit_and_it_is_never_below_what_they_did_not_pass(lengths: list[int]) -> None:
    expected = told(lengths).expect(*ME)
    assert expected is not None
    quantile = sorted(lengths)[-(-len(lengths) * 99 // 100) - 1]
    assert quantile <= expected <= quantile * 9 // 8
    assert sum(tokens <= expected for tokens in lengths) * 100 >= len(lengths) * 99


@pytest.mark.parametrize("seed", range(5))
def test_answers_to_come_fit_if_they_are_like_those_before(seed: int) -> None:
    """Long-tailed lengths, as answers have; one percent for the luck of two thousand draws."""
    draw = random.Random(seed)
    lengths = [int(draw.lognormvariate(5, 1)) for _ in range(4_000)]
    expected = told(lengths[:2_000]).expect(*ME)
    assert expected is not None
    assert sum(tokens <= expected for tokens in lengths[2_000:]) >= 0.98 * 2_000


def test_what_was_usual_fades_after_as_many_answers() -> None:
    learned = told([50_000] * 5_000)
    for _ in range(GENERATION):
        learned.observe(*ME, 10, 0)
    assert learned.expect(*ME) == edge_of(bucket_of(50_000))
    for _ in range(GENERATION):
        learned.observe(*ME, 10, 0)
    learned.observe(*ME, 10, 0)
    assert learned.expect(*ME) == 10


def test_what_was_usual_fades_with_the_days_of_those_who_ask_little() -> None:
    learned = told([5_000] * ENOUGH)
    for day in (1, 2):
        for _ in range(ENOUGH):
            learned.observe(*ME, 10, day * DAY_MS)
    assert learned.expect(*ME) == 10
    quiet = told([5_000] * 40, step=DAY_MS)
    assert quiet.expect(*ME) == edge_of(bucket_of(5_000)), "a few answers a month are not forgotten"


def test_memory_is_bounded() -> None:
    learned = Learned(pairs=3)
    for client in ("a", "b", "c", "a", "d"):
        for _ in range(ENOUGH):
            learned.observe(client, "e", "m", 5, 0)
    assert len(learned) == 3
    assert [client for client in "abcd" if learned.expect(client, "e", "m")] == ["a", "c", "d"]
    lengths = Lengths(0)
    for tokens in range(100_000):
        lengths.add(tokens, 0)
    assert lengths.count + lengths.before <= 2 * GENERATION
    assert len(lengths._now) == len(lengths._then) < 300


def row(**more: object) -> Row:
    fields = {"id": "r", "time": 5, "key": "alice", "endpoint": ME[1], "model": "best", "sent": ME[2]}
    return Row(**fields | {"status": 200, "settled": "usage", "output": 70} | more)  # type: ignore[arg-type]


def test_the_ledger_is_a_start() -> None:
    learned = Learned()
    learned.warm([row()] * ENOUGH)
    assert learned.expect(*ME) == edge_of(bucket_of(70))


@pytest.mark.parametrize(
    "more",
    [
        {"status": 499},
        {"settled": "estimate"},
        {"settled": "lease"},
        {"settled": "none", "cache": "hit"},
        {"correction": True},
        {"output": 0},
    ],
)
def test_rows_that_say_nothing_of_whole_answers(more: dict[str, object]) -> None:
    learned = Learned()
    learned.warm([row(**more)] * ENOUGH)
    assert len(learned) == 0
