"""One connection to an upstream: a request goes out, its answer is parsed as it comes, and then the next."""

import asyncio
import select
from typing import Protocol, cast

import httptools

from gateway.upstream import answerhead, failures
from gateway.upstream.arrival import READ_BUFFER, Arrival
from gateway.upstream.failures import Failure
from gateway.upstream.sending import SLICE


class Home(Protocol):
    """Where a connection lives between two requests."""

    def put(self, connection: "Connection") -> None: ...

    def forget(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """The other end may speak only while it is asked (RFC 9112 section 9.2); otherwise the connection ends.

    Its timer is made once in `patience` seconds, and looks back: one per request, made and cancelled, costs
    2 µs. No patience of an upstream's may be shorter than that.
    """

    __slots__ = (
        "_arrival",
        "_complete",
        "_fields",
        "_home",
        "_keep",
        "_loop",
        "_parser",
        "_patience",
        "_paused",
        "_poll",
        "_rest",
        "_timer",
        "_transport",
        "_until_close",
        "_writable",
    )

    def __init__(self, home: Home, patience: float) -> None:
        self._home = home
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # As lenient as aiohttp's, because there are such servers; `answerhead` has the rest.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._arrival: Arrival | None = None  # what is being waited for
        self._fields: list[tuple[bytes, bytes]] = []
        self._complete = False  # the answer has come to its end
        self._keep = False  # the connection outlives the answer
        self._until_close = False  # the answer ends with the connection
        self._rest: memoryview | None = None  # of the request's body, what has not been written yet
        self._writable = True
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._poll = poll.poll

    # ---- asking -----------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def is_quiet(self) -> bool:
        """Has an idle connection nothing to say, not even that it ends? Asked of the kernel, in 0.3 µs: what
        it knows the loop may only learn in its next turn, and a request would be lost on it by then.
        """
        return not self._poll(0)

    def ask(self, head: bytes, body: bytes, arrival: Arrival) -> bool:
        """Send a request. False: nothing of it has left, the connection had ended before.

        Head and body leave in one write; a large body in slices, because a transport keeps a copy of what
        the socket does not take.
        """
        if self._transport.is_closing():
            return False
        self._arrival = arrival
        arrival.source = self
        self._complete = False
        if self._timer is None:
            self._timer = self._loop.call_later(self._patience, self._look_back)
        if len(body) <= SLICE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._rest = memoryview(body)
            self._send_rest()
        return True

    def _send_rest(self) -> None:
        while self._rest is not None and self._writable and not self._transport.is_closing():
            piece, rest = self._rest[:SLICE], self._rest[SLICE:]
            self._rest = rest or None
            self._transport.write(piece)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._send_rest()

    # ---- being answered ---------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        arrival, parser = self._arrival, self._parser
        if arrival is None or parser is None:
            if data.strip(b"\r\n"):  # old servers send one line end too many
                self.cut()
            return
        arrival.held += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._misread(arrival, error)
            return
        if self._complete:
            self._finish(arrival)
        elif arrival.held > READ_BUFFER:
            self._hold_back(arrival)
        elif arrival.status:
            arrival.wake()

    def _misread(self, arrival: Arrival, error: Exception) -> None:
        """Another answer behind this one is nobody's. What is none at all makes this one doubtful too."""
        another = isinstance(error, httptools.HttpParserCallbackError | httptools.HttpParserUpgrade)
        if self._complete and another:
            self._finish(arrival)
        else:
            self._fail(arrival, failures.CUT if arrival.status else failures.GARBAGE)

    def _finish(self, arrival: Arrival) -> None:
        """The answer is complete: the next request may use the connection before this one's reader runs."""
        self._arrival = None
        # Some of the request may wait in the transport still: it was answered early, and may never be read.
        if self._keep and self._rest is None and not self._transport.get_write_buffer_size():
            self.go_on()
            self._home.put(self)
        else:
            self.cut()
        arrival.end(None)

    def _fail(self, arrival: Arrival, failure: Failure) -> None:
        self._arrival = None
        self.cut()
        arrival.end(failure)

    def _hold_back(self, arrival: Arrival) -> None:
        """Let an upstream wait that is quicker than the reader. All that is no body is bounded."""
        if not arrival.parts:
            self._fail(arrival, failures.CUT if arrival.status else failures.GARBAGE)
            return
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()
        arrival.wake()

    def go_on(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    # ---- what the parser calls --------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:
            self._keep = False
        self._fields = []

    def on_status(self, reason: bytes) -> None:
        if reason != b"OK":
            answerhead.check_reason(reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        parser, arrival = self._parser, self._arrival
        assert parser is not None
        assert arrival is not None
        if self._complete:
            raise answerhead.Unsound
        status = parser.get_status_code()
        if arrival.held > answerhead.MAX_LINE:  # else nothing in it can be too large
            answerhead.check_sizes(self._fields)
        headers = answerhead.headers_of(self._fields)
        self._until_close = answerhead.ends_with_connection(status, parser.get_http_version(), headers)
        if status >= 200 or status == 101:
            self._keep = parser.should_keep_alive() and status != 101
            arrival.headers = headers
            arrival.status = status
            arrival.since = None
        else:
            # As many as the upstream's time allows: each has its bound, and the next is looked at closely.
            arrival.held = answerhead.MAX_LINE + 1

    def on_body(self, data: bytes) -> None:
        assert self._arrival is not None
        self._arrival.parts.append(data)

    def on_message_complete(self) -> None:
        assert self._arrival is not None
        self._complete = self._arrival.status != 0  # else it was informational (RFC 9110 section 15.2)

    # ---- ending -----------------------------------------------------------------------------------------

    def drop(self) -> None:
        self._arrival = None
        self.cut()

    def cut(self) -> None:
        """End at once: a mere close would wait for an upstream that takes nothing."""
        self._home.forget(self)
        self._transport.abort()

    def eof_received(self) -> None:
        self._ended()
        self.cut()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended()
        self._home.forget(self)
        self._parser = None  # it knows this connection, and this connection it
        if self._timer is not None:
            self._timer.cancel()

    def _ended(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is None:
            return
        if not arrival.status:
            arrival.end(failures.DISCONNECTED)
        else:
            # Even when it was reset: nobody can tell, and so the caller looks for the end inside the body.
            arrival.end(None if self._until_close else failures.CUT)

    # ---- patience ---------------------------------------------------------------------------------------

    def _look_back(self) -> None:
        self._timer = None
        arrival = self._arrival
        if arrival is None:
            return
        now = self._loop.time()
        due = (now if arrival.since is None else arrival.since) + arrival.patience()
        if due <= now:
            self._fail(arrival, failures.STALLED if arrival.status else failures.SILENT)
        else:
            self._timer = self._loop.call_at(min(due, now + self._patience), self._look_back)

    def __repr__(self) -> str:
        return f"<Connection {'idle' if self._arrival is None else 'asked'}>"
