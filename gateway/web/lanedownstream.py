"""The client's end of a connection that is in the lane."""

from collections.abc import Callable

from gateway.exchange import Headers
from gateway.web import wire
from gateway.web.response import Line, Response


class LaneDownstream(Response):
    """The response to a POST of HTTP/1.1: its body is as long as its head says, or comes in chunks."""

    __slots__ = ("_ends",)

    def __init__(
        self, connection: Line, request_id: str, patience: float, keep_alive: bool, ends: Callable[[], bool]
    ) -> None:
        super().__init__(connection, request_id, patience, keep_alive)
        self._ends = ends  # asked when the head is written: is this connection to end?

    async def start(self, status: int, headers: Headers, length: int | None) -> None:
        self.begun = True
        if self._keep and self._ends():
            self._keep = False
        framing: tuple[str, ...] = () if self._keep else ("connection: close",)
        if status in wire.BODILESS:
            self._silent = True
        elif length is None:
            self._chunked = True
            framing = ("transfer-encoding: chunked", *framing)
        else:
            self._owed = length
            framing = (f"content-length: {length}", *framing)
        head = wire.head(status, headers, self._id, *framing)
        if length and not self._silent:
            self._held = head
        else:
            self._send(head)
