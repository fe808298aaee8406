"""One share, and what was admitted of it."""

from gateway.away.bucket import Bucket
from gateway.policy.quota import parse_limit
from gateway.policy.windows import UNKNOWN_MS

LIMIT = parse_limit("60 requests/minute", "key:alice")
SECOND = 1_000


def test_it_leaks_at_the_pace_of_the_share() -> None:
    bucket = Bucket.of(LIMIT, 30, at=0)
    bucket.charge(30, 0)
    assert bucket.standing(LIMIT, 1, 0, None, admitted=False).retry_ms == 2 * SECOND
    assert bucket.standing(LIMIT, 1, 2 * SECOND, None, admitted=False).fits


def test_the_client_sees_its_own_limit_and_what_remains_of_the_share() -> None:
    bucket = Bucket.of(LIMIT, 30, at=0)
    bucket.charge(10, 0)
    standing = bucket.standing(LIMIT, 1, 0, None, admitted=True)
    assert (standing.limit, standing.remaining, standing.reset_ms) == (LIMIT, 19, 22 * SECOND)


def test_what_the_share_never_holds_may_fit_when_the_store_is_back() -> None:
    bucket = Bucket.of(LIMIT, 0, at=0)
    assert bucket.standing(LIMIT, 1, 0, None, admitted=False).retry_ms == UNKNOWN_MS
    assert bucket.standing(LIMIT, 61, 0, None, admitted=False).retry_ms == -1


def test_what_has_leaked_is_not_given_back_again() -> None:
    bucket = Bucket.of(LIMIT, 60, at=0)
    bucket.charge(40, 0)
    bucket.give_back(40, 0, 30 * SECOND)
    assert bucket.reading(30 * SECOND).level == 0
    bucket.charge(50, 30 * SECOND)
    bucket.give_back(40, 0, 35 * SECOND)
    assert bucket.reading(35 * SECOND).level == 40 * 60 * SECOND
    bucket.give_back(20, 30 * SECOND, 35 * SECOND)
    assert bucket.reading(35 * SECOND).level == 25 * 60 * SECOND


def test_a_clock_that_goes_back_leaks_nothing_twice() -> None:
    bucket = Bucket.of(LIMIT, 60, at=10 * SECOND)
    bucket.charge(60, 10 * SECOND)
    bucket.charge(0, 5 * SECOND)
    assert bucket.standing(LIMIT, 1, 5 * SECOND, None, admitted=False).retry_ms == 6 * SECOND
