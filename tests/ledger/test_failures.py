"""What goes wrong with the database, as the admin API says it."""

from gateway.errors import body_of, headers_of
from gateway.ledger.failures import SinkMisconfigured, SinkUnavailable


def test_a_sink_that_is_away_is_a_503_that_may_be_tried_again() -> None:
    error = SinkUnavailable("The ledger's database takes too long.")
    assert (error.status, error.code, error.retry_ms) == (503, "ledger_unavailable", 1000)
    assert b"takes too long" in body_of(error)
    assert ("retry-after", "1") in list(headers_of(error))


def test_a_sink_that_is_misconfigured_is_no_answer_to_a_request() -> None:
    assert issubclass(SinkMisconfigured, ValueError)
