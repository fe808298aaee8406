"""The two ends of a WebSocket session, as the relay between them sees both."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from gateway.exchange import Headers

# RFC 6455 section 7.4.1: codes that say what is missing from the wire, and are never on it.
NO_CODE: Final = 1005
CUT_OFF: Final = 1006

GOING_AWAY: Final = 1001
POLICY: Final = 1008
FAILED: Final = 1011

# The base64 of ten minutes of speech fits; OpenAI takes 15 MB in one audio event.
MOST_BYTES: Final = 16 * 2**20
_MOST_REASON = 123  # bytes: a control frame has room for 125, and two are the code


@dataclass(frozen=True, slots=True)
class Message:
    """One message, whole: how it was cut into frames is nobody's business. Text is valid UTF-8."""

    data: bytes = field(repr=False)
    text: bool = True


@dataclass(frozen=True, slots=True)
class Close:
    """The end. `code` is `NO_CODE` where none was given, `CUT_OFF` where the connection broke."""

    code: int
    reason: str = field(default="", repr=False)


class Refused(Exception):
    """The upstream answered the handshake with a status of its own."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        super().__init__(f"the upstream answered {status}")
        self.status = status
        self.headers = headers
        self.body = body


class Socket(Protocol):
    """One end. Pings are answered in here; one reader, any number of writers."""

    async def receive(self) -> Message | Close:
        """The next message. While nobody calls this, the peer is not read: a bounded part is buffered."""
        ...

    async def send(self, message: Message) -> None:
        """Send, and wait while the peer reads slower than we write.

        Raises `exchange.ClientGone` when it has left, or took nothing for too long.
        """
        ...

    async def close(self, close: Close) -> None:
        """Say the end, wait a moment for the peer's own, and let go. Called again it does nothing."""
        ...


def sendable(close: Close) -> tuple[int, bytes] | None:
    """Code and reason as a close frame may have them. None: a frame without either."""
    if close.code == NO_CODE:
        return None
    code = FAILED if close.code == CUT_OFF else close.code
    reason = close.reason.encode(errors="replace")[:_MOST_REASON]
    return code, reason.decode(errors="ignore").encode()
