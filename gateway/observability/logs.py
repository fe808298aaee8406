"""One JSON object per line, on one stream. Nothing that a request brought can get in but by name.

Only the gateway's own loggers may speak. A library's words may hold request bytes (aiohttp puts the line that
it could not parse, Authorization header and all, into its message and its traceback), so of those only the
logger, the level and the type of the exception are kept.
"""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

import msgspec

from gateway.observability.accessline import AccessLine, members
from gateway.observability.logwriter import LogWriter, sink_of

_ours, _access = logging.getLogger("gateway"), logging.getLogger("gateway.access")

# What a record may say beside its message: ids, numbers and names from the configuration.
FIELDS = frozenset(
    {
        *("request_id", "key", "team", "hold", "upstream", "limit", "model", "endpoint", "op", "task"),
        *("error", "code", "place", "status", "count", "seconds", "retry_ms", "signal", "advice"),
        *("host", "port", "pid", "path", "workers", "worker"),
    }
)
_LONGEST = 500  # characters of a value: long enough for what we say, too short for what somebody smuggles in
_EXIT_SECONDS = 2.0
_DEL = 0x7F
_to_json, _to_lines = msgspec.json.Encoder().encode, msgspec.json.Encoder().encode_lines


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON, without its newline."""

    def format(self, record: logging.LogRecord) -> str:
        return self.encode(record).decode()

    def encode(self, record: logging.LogRecord) -> bytes:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name[:_LONGEST],
        }
        if not _is_ours(record.name):
            line["message"] = "a library has reported something; its words are withheld"
        elif record.name == "gateway.access" and "line" in record.__dict__:
            line |= record.__dict__["line"]
        else:
            line["message"] = record.getMessage()[:_LONGEST]
            line |= {name: _plain(value) for name, value in record.__dict__.items() if name in FIELDS}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["place"] = _where(record.exc_info[2])
        return _encode(line)


def _encode(line: dict[str, object]) -> bytes:
    """Printable ASCII alone: no newline, escape sequence or direction mark is ever written as itself."""
    try:
        text = _to_json(line)
    except UnicodeEncodeError:  # half a surrogate pair
        text = bytes((_DEL,))
    # msgspec passes on DEL and all beyond ASCII. The encoder that escapes them takes six times as long.
    return text if text.isascii() and _DEL not in text else json.dumps(line, separators=(",", ":")).encode()


class Stamp:
    """The time of a line, as `JsonFormatter` writes it. Within a millisecond it is the same one."""

    def __init__(self) -> None:
        self._at = self._second = -1
        self._date = self._text = ""

    def __call__(self, at: int) -> str:
        """`at` in milliseconds since the epoch."""
        if at != self._at:
            second, millis = divmod(at, 1000)
            if second != self._second:
                self._second, self._date = second, datetime.fromtimestamp(second, UTC).isoformat()[:19]
            self._at, self._text = at, f"{self._date}.{millis:03d}+00:00"
        return self._text


def _is_ours(name: str) -> bool:
    return name == "gateway" or name.startswith("gateway.")


def _plain(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    return str(value)[:_LONGEST]


def _where(trace: TracebackType | None) -> str | None:
    """The module and line that raised: all of a traceback that holds no data."""
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"


class WriterHandler(logging.Handler):
    """Formats a record where it is made, and leaves the writing to a `LogWriter`."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self.writer = writer
        self._encode = JsonFormatter().encode

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._encode(record)
        except Exception as error:
            # Not the standard handling: that would print the record's arguments.
            line = _encode({"level": "error", "message": "unloggable", "error": type(error).__name__})
        self.writer.put(line + b"\n")

    def close(self) -> None:
        """Called by `logging` when the process exits."""
        self.writer.close(_EXIT_SECONDS)
        super().close()


def access(lines: Sequence[AccessLine]) -> None:
    """Log the lines of requests that have ended: what `logging` would make of them, if that is asked.

    A record on its way through `logging` takes 8 µs. None is made where it would reach nobody but the one
    handler that `configure` has left.
    """
    writer = _only_writer()
    if writer is not None and (text := _written(lines)) is not None:
        writer.put(text, len(lines))
        return
    for line in lines:
        # Not `info`: that would walk the stack, for each request, to find out that it was called here.
        said = {"line": members(line)}
        _access.handle(_access.makeRecord(_access.name, logging.INFO, "", 0, "request", (), None, extra=said))


def overheard() -> bool:
    """Whether somebody beside the handler of `configure` hears of each request."""
    return _only_writer() is None


def _only_writer() -> LogWriter | None:
    handlers = logging.root.handlers
    if len(handlers) != 1 or _ours.handlers or _access.handlers:
        return None
    return handlers[0].writer if isinstance(handlers[0], WriterHandler) else None


def _written(lines: Sequence[AccessLine]) -> bytes | None:
    """The lines, a newline after each; None where they are not as simple as that (see `_encode`)."""
    try:
        text = _to_lines(lines)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair; a number beyond 64 bits
        return None
    return text if text.isascii() and _DEL not in text else None


def configure(stream: TextIO, level: str) -> LogWriter:
    """Make this process log as described above, from `level` (debug, info, …) up; libraries from warning.

    Returns the writer, whose `dropped` counts lines lost. Raises ValueError for an unknown level.
    """
    logging.getLogger("gateway").setLevel(level.upper())
    writer = LogWriter(sink_of(stream))
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.addHandler(WriterHandler(writer))
    root.setLevel(logging.WARNING)
    # aiohttp's own access line prints the query string.
    logging.getLogger("aiohttp.access").disabled = True
    return writer
