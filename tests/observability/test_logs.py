import ast
import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway
from gateway.observability import logs
from gateway.observability.accessline import line_of, members
from gateway.observability.logs import FIELDS, JsonFormatter, Stamp, WriterHandler, configure
from gateway.observability.logwriter import LogWriter
from gateway.policy.records import Usage
from gateway.telemetry import Telemetry
from tests.exchanges import ended

SECRET = "sk-gw-ab12cd-CANARY"


class Log:
    """A configured log, and what it has said so far."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.writer: LogWriter = configure(self.stream, "info")

    def text(self) -> str:
        assert self.writer.flush(10)
        return self.stream.getvalue()

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    root, ours = logging.getLogger(), logging.getLogger("gateway")
    access = logging.getLogger("aiohttp.access")
    before = (list(root.handlers), root.level, ours.level, access.disabled)
    root.handlers[:] = []
    try:
        yield Log()
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:], root.level, ours.level, access.disabled = before


def test_a_request_is_one_line(log: Log) -> None:
    Telemetry().observe(ended())
    (line,) = log.lines()
    assert (line["logger"], line["request_id"], line["status"]) == ("gateway.access", "req_1", 200)
    assert str(line["time"]).endswith("+00:00")


def test_fields_are_let_in_by_name(log: Log) -> None:
    logging.getLogger("gateway").error("it failed", extra={"task": "renew", "body": SECRET, "count": 3})
    (line,) = log.lines()
    assert (line["message"], line["task"], line["count"], line["level"]) == ("it failed", "renew", 3, "error")
    assert SECRET not in log.text()


def test_only_the_access_log_may_bring_a_line_of_its_own(log: Log) -> None:
    logging.getLogger("gateway").error("it failed", extra={"line": {"body": SECRET}})
    assert SECRET not in log.text()


def test_of_an_exception_the_type_and_the_place_are_kept(log: Log) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("gateway").exception("it failed")
    (line,) = log.lines()
    assert line["error"] == "ValueError"
    assert str(line["place"]).startswith(f"{__name__}:")
    assert SECRET not in log.text()


@pytest.mark.parametrize(
    "name", ["aiohttp.server", "aiohttp.web", "aiohttp.client", "asyncio", "redis", "x\ny"]
)
def test_the_words_of_libraries_are_withheld(log: Log, name: str) -> None:
    try:
        raise RuntimeError(SECRET)
    except RuntimeError:
        logging.getLogger(name).exception("Error handling request %s", SECRET)
    (line,) = log.lines()
    assert (line["logger"], line["error"]) == (name, "RuntimeError")
    assert SECRET not in log.text()


def test_the_access_log_of_aiohttp_is_silent(log: Log) -> None:
    logging.getLogger("aiohttp.access").setLevel(logging.DEBUG)
    logging.getLogger("aiohttp.access").warning('"GET /v1/models?key=%s"', SECRET)
    assert log.text() == ""


def test_a_failing_callback_of_the_loop_shows_none_of_its_arguments(log: Log) -> None:
    def fails(argument: str) -> None:
        raise RuntimeError(argument)

    async def main() -> None:
        asyncio.get_running_loop().call_soon(fails, SECRET)
        await asyncio.sleep(0)

    asyncio.run(main())
    (line,) = log.lines()
    assert (line["logger"], line["error"]) == ("asyncio", "RuntimeError")
    assert SECRET not in log.text()


def test_what_cannot_be_formatted_is_said_without_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[bytes] = []
    writer = LogWriter(said.append)
    handler = WriterHandler(writer)
    handler.handle(logging.LogRecord("gateway", logging.ERROR, "", 0, "%d requests", (SECRET,), None))
    handler.close()
    line = json.loads(b"".join(said))
    assert line == {"level": "error", "message": "unloggable", "error": "TypeError"}
    assert capsys.readouterr().err == ""


@given(
    st.text(st.characters(categories=None))
    | st.sampled_from(["a\nb", "\x1b[2J", "\x9b2J", "\u2028", "\x7f", "\ud800"])
)
def test_no_string_gets_out_of_its_line(text: str) -> None:
    record = logging.LogRecord("gateway", logging.ERROR, "", 0, "x%s", (text,), None)
    record.key = text
    line = JsonFormatter().format(record)
    assert all(" " <= character <= "~" for character in line)
    assert json.loads(line)["key"] == text[:500]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        configure(io.StringIO(), "loud")


def test_what_was_said_last_is_written_at_exit() -> None:
    program = (
        "import logging, sys; from gateway.observability.logs import configure;"
        "configure(sys.stdout, 'info');"
        "logging.getLogger('gateway').info('goodbye'); raise SystemExit(3)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["message"] == "goodbye"
    assert done.stderr == b""


def test_every_field_that_the_gateway_logs_is_let_in() -> None:
    for path in Path(gateway.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                names = {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
                assert names - {"line"} <= FIELDS, f"{path.name}: {names - FIELDS}"


@pytest.fixture
def alone() -> Iterator[WriterHandler]:
    """The handler that `configure` leaves, with no other beside it: as in a gateway, and not under pytest."""
    root, before, said = logging.getLogger(), list(logging.root.handlers), bytearray()
    handler = WriterHandler(LogWriter(said.extend))
    handler.said = said  # type: ignore[attr-defined]
    root.handlers[:] = [handler]
    try:
        yield handler
    finally:
        root.handlers[:] = before
        handler.close()


def said(handler: WriterHandler) -> bytes:
    assert handler.writer.flush(10)
    return bytes(handler.said)  # type: ignore[attr-defined]


@given(
    st.text(st.characters(categories=None)) | st.sampled_from(["a\nb", "\x7f", "\ud800", 'a"\\']),
    st.none() | st.integers(0, 10**15),
    st.floats(0, 1e5),
    st.integers(-(2**70), 2**70),
)
def test_a_line_without_a_record_is_the_line_of_its_record(
    text: str, cost: int | None, seconds: float, tokens: int
) -> None:
    usage = Usage(input=tokens, output=5)
    exchange = ended(id=text, upstream=text, cost=cost, usage=usage, finished=100 + seconds)
    line = line_of("2026-11-22T00:00:00.123+00:00", exchange, "other", 100 + seconds, seconds / 3)
    record = logging.makeLogRecord({"name": "gateway.access", "levelname": "INFO", "line": members(line)})
    written = logs._written([line])
    if written is not None:
        assert written.endswith(b"\n")
        _, _, direct = written.partition(b"+00:00")
        _, _, formatted = JsonFormatter().encode(record).partition(b"+00:00")
        assert direct == formatted + b"\n"
        assert written.startswith(b'{"time":"2026-11-22T00:00:00.123')
    else:
        assert not text.isascii() or "\x7f" in text or not -(2**63) <= tokens < 2**64


@given(st.lists(st.integers(0, 2**42) | st.integers(10**12, 10**12 + 3000), min_size=1))
def test_the_time_of_a_line_is_that_of_a_record(times: list[int]) -> None:
    stamp = Stamp()
    for at in times:
        expected = datetime.fromtimestamp(at // 1000, UTC).replace(microsecond=at % 1000 * 1000)
        assert stamp(at) == expected.isoformat(timespec="milliseconds")


def test_where_nobody_else_listens_no_record_is_made(
    alone: WriterHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("gateway"), "level", logging.INFO)
    logging.getLogger("gateway.access").manager._clear_cache()  # type: ignore[attr-defined]
    monkeypatch.setattr(logging, "LogRecord", None)
    Telemetry().observe(ended())
    line = json.loads(said(alone))
    assert [*line][:4] == ["time", "level", "logger", "request_id"]
    assert (line["logger"], line["level"], line["status"]) == ("gateway.access", "info", 200)


@pytest.mark.parametrize("name", ["", "gateway", "gateway.access"])
def test_whoever_else_listens_gets_a_record(alone: WriterHandler, name: str) -> None:
    heard: list[logging.LogRecord] = []
    listener = logging.Handler()
    listener.emit = heard.append  # type: ignore[method-assign, assignment]
    logging.getLogger(name).addHandler(listener)
    try:
        logs.access([line_of("", ended(), "other", 102.0, None)])
    finally:
        logging.getLogger(name).removeHandler(listener)
    assert [record.__dict__["line"]["request_id"] for record in heard] == ["req_1"]
    assert json.loads(said(alone))["request_id"] == "req_1"


def test_a_line_that_is_not_plain_is_escaped_all_the_same(alone: WriterHandler) -> None:
    logs.access([line_of("", ended(id="\x9b2J\x7f\ud800"), "other", 102.0, None)])
    assert all(b" "[0] <= byte <= b"~"[0] for byte in said(alone)[:-1])
    assert json.loads(said(alone))["request_id"] == "\x9b2J\x7f\ud800"
