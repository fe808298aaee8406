import ast
import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway
from gateway.observability.logs import FIELDS, JsonFormatter, WriterHandler, configure
from gateway.observability.logwriter import LogWriter
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
