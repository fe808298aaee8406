"""wrk, driven by a script of our own that asks chat completions and reports in JSON."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import chat

_DIGITS = 16
_SCRIPT = """\
local head, before, after, unique, number = {head}, {before}, {after}, {unique}, 0
local same = head .. before .. string.rep("0", {digits}) .. after

function init(arguments)
   number = tonumber(arguments[1])
end

function request()
   if not unique then return same end
   number = number + 1
   return head .. before .. string.format("%0{digits}d", number) .. after
end

function done(summary, latency)
   local failed = summary.errors
   io.write(string.format(
      '\\nRESULT {{"requests": %d, "us": %d, "p50": %d, "p99": %d, "failed": %d}}\\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
"""


class WrkError(Exception):
    """wrk ended without a result; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What one run of wrk saw. Latencies in microseconds; `failed`: whatever was not an answer below 400."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    failed: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def available() -> bool:
    return shutil.which("wrk") is not None


def script(port: int, unique: bool, further: Mapping[str, str] = chat.NOTHING) -> str:
    """The Lua script. With `unique`, each request's prompt is a new one of the same length.

    `further` are header fields beyond the usual ones.
    """
    before, after = chat.body("#").decode().split("#")
    length = len(before) + _DIGITS + len(after)
    return _SCRIPT.format(
        head=json.dumps(chat.head(port, length, further).decode()),
        before=json.dumps(before),
        after=json.dumps(after),
        unique="true" if unique else "false",
        digits=_DIGITS,
    )


def run(
    port: int,
    *,
    unique: bool,
    connections: int,
    seconds: int,
    first: int,
    folder: Path,
    further: Mapping[str, str] = chat.NOTHING,
) -> Shot:
    """Ask 127.0.0.1:`port` for that long from one thread; unique prompts are numbered from `first`."""
    path = folder / f"wrk-{first}.lua"
    path.write_text(script(port, unique, further))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(path)]
    command += [f"http://127.0.0.1:{port}{chat.PATH}", "--", str(first)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 20, check=False)
    except subprocess.TimeoutExpired as error:
        raise WrkError("it did not end in time") from error
    return parse(ended.stdout + ended.stderr)


def parse(output: str) -> Shot:
    """Read the line that the script wrote."""
    for line in output.splitlines():
        if line.startswith("RESULT "):
            told = json.loads(line.removeprefix("RESULT "))
            return Shot(told["requests"], told["us"] / 1e6, told["p50"], told["p99"], told["failed"])
    raise WrkError(output.strip() or "it said nothing")
