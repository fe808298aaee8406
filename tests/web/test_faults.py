"""What the parser says on the wire is in `test_framing`; here, that its words go nowhere."""

import pytest
from aiohttp.http_exceptions import BadHttpMessage, BadStatusLine, LineTooLong

from gateway.errors import body_of
from gateway.web.faults import fault_of

SECRET = "sk-secret"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 400),
        (ValueError(SECRET), 400),
        (BadHttpMessage(SECRET), 400),
        (BadHttpMessage("Too many headers received"), 431),
        (LineTooLong(SECRET.encode(), 8190), 431),
        (LineTooLong(bytearray(SECRET.encode()), 8190), 414),
        (BadStatusLine(error=f"Bad status line:\n  Invalid HTTP version:\n\n  {SECRET}"), 505),
        (BadStatusLine(error=f"Bad status line:\n  Expected dot:\n\n  {SECRET}"), 400),
        (BadHttpMessage(f"Pause on PRI/Upgrade:\n\n {SECRET}"), 505),
    ],
)
def test_fault_of(error: BaseException | None, status: int) -> None:
    fault = fault_of(error)
    assert (fault.status, fault.close) == (status, True)
    assert SECRET.encode() not in body_of(fault)
