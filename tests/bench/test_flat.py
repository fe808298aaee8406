"""What a soak complains of, and what it does not."""

from collections import Counter
from collections.abc import Callable

import pytest

from bench.crowd import Heard
from bench.flat import Process, Sample, complaints, quantile


def samples(
    *,
    gateway: Callable[[int], float] = lambda _: 100.0,
    store: Callable[[int], float] = lambda _: 20.0,
    delay: Callable[[int], float] = lambda _: 1.0,
    count: int = 12,
    each: float = 10.0,
) -> list[Sample]:
    return [
        Sample(
            each * (number + 1),
            1000,
            Heard(delays=[delay(number)] * 100, plain=[2.0] * 100),
            [Process("gateway 1", gateway(number), 120), Process("store 2", store(number), 30)],
        )
        for number in range(count)
    ]


def test_what_stays_as_it_is_is_no_complaint() -> None:
    assert complaints(samples()) == []


def test_what_grows_in_the_beginning_alone_is_no_complaint() -> None:
    assert complaints(samples(gateway=lambda number: min(100, 50 + 20 * number))) == []


def test_memory_that_goes_on_growing_is_told_with_its_numbers() -> None:
    (told,) = complaints(samples(gateway=lambda number: 100 + 5 * number))
    assert told == (
        "the gateway's memory (MB) rose from 127.5 to 147.5 between the second and the last third"
    )


def test_a_tail_that_rises_is_told() -> None:
    (told,) = complaints(samples(delay=lambda number: 1 if number < 8 else 20))
    assert told.startswith("event delay, p99")


def test_a_store_may_grow_for_as_long_as_it_remembers_holds() -> None:
    def growing(number: int) -> float:
        return 20 + 5 * number

    assert complaints(samples(store=growing)) == []
    (told,) = complaints(samples(store=growing, each=200))
    assert told.startswith("the store's memory")


def test_errors_are_counted() -> None:
    seen = samples()
    seen[3].heard.errors.update(Counter({"502": 2, "stream not whole": 1}))
    assert complaints(seen) == ["3 errors"]
    assert "2 502" in seen[3].line()


def test_too_few_intervals_say_nothing() -> None:
    assert complaints(samples(count=5)) == ["5 intervals are too few to compare"]


def test_silence_is_a_complaint() -> None:
    seen = samples()
    for sample in seen:
        sample.heard.delays.clear()
    assert any("event delay" in told for told in complaints(seen))


@pytest.mark.parametrize(("share", "expected"), [(0.5, 51), (0.99, 100), (1.0, 100)])
def test_quantiles(share: float, expected: int) -> None:
    assert quantile(range(1, 101), share) == expected
