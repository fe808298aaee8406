"""What a close frame may say."""

import pytest

from gateway.sockets.ends import CUT_OFF, NO_CODE, Close, Message, Refused, sendable


@pytest.mark.parametrize(
    ("close", "said"),
    [
        (Close(1000, "bye"), (1000, b"bye")),
        (Close(4000, "x" * 500), (4000, b"x" * 123)),
        (Close(4000, "é" * 100), (4000, "é".encode() * 61)),
        (Close(CUT_OFF), (1011, b"")),
        (Close(NO_CODE), None),
    ],
)
def test_codes_that_are_never_on_the_wire_are_not_sent(close: Close, said: tuple[int, bytes] | None) -> None:
    assert sendable(close) == said


def test_nothing_that_people_said_is_in_a_repr() -> None:
    assert "secret" not in repr(Message(b"secret")) + repr(Close(4000, "secret"))
    assert "secret" not in str(Refused(404, (), b"secret"))
