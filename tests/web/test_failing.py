import logging

import pytest

from gateway.web.failing import failure, note
from tests.web.raw import CANARY


def test_a_bug_is_named_and_not_described(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError(CANARY)
    except KeyError as bug:
        note("abc", bug)
    (record,) = caplog.records
    seen = record.__dict__
    assert (record.levelno, seen["request_id"], seen["error"]) == (logging.ERROR, "abc", "KeyError")
    assert seen["place"].startswith("test_failing.py:")
    assert record.exc_info is None
    assert "abc" in failure("abc").message
