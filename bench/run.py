"""`python bench/run.py`: the gateway, a bare aiohttp relay and nginx side by side, in two or three minutes.

See docs/benchmarks.md for what is measured and how to read it.
"""

import argparse
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import plain, report, streaming, subjects, wrk
from bench.apparatus import started
from bench.cores import Cores
from bench.results import Results

_PLAIN_ROUNDS = 3
_STREAM_ROUNDS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 if a number is missing or doubtful, or 2 if nothing could run."""
    given = _parser().parse_args(arguments)
    if not sys.platform.startswith("linux"):
        return _refuse("the benchmark needs Linux: it pins processes to cores and reads /proc")
    if not wrk.available():
        return _refuse("wrk is not installed (Debian and Ubuntu: apt-get install wrk nginx)")
    # SIGTERM unwinds as Ctrl-C does, so that everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = measure(given.only, given.seconds)
    render = report.as_json if given.json else report.markdown if given.markdown else report.terminal
    print(render(results))
    return 1 if results.complaints else 0


def measure(names: Sequence[str], seconds: int) -> Results:
    """Start, measure, end. `seconds` is the length of one measurement; there are about forty."""
    results = Results(_machine(), _placement(Cores.choose()))
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        started(names, Path(folder)) as apparatus,
    ):
        streaming.weigh(apparatus, results)
        plain.measure(apparatus, results, rounds=_PLAIN_ROUNDS, seconds=seconds)
        streaming.measure(apparatus, results, rounds=_STREAM_ROUNDS, seconds=seconds)
        results.complaints = apparatus.complaints
    return results


def _machine() -> str:
    return f"{_processor()}, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _placement(cores: Cores) -> str:
    rest = "one other" if cores.load == cores.upstream else "one other each"
    if cores.subject == cores.load:
        return "One core for everything: the load generator and the upstream take from the subject"
    return f"Each subject alone on one core, load generator and upstream on {rest}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__)
    parser.add_argument("--seconds", type=_seconds, default=3, help="length of one measurement (default 3)")
    parser.add_argument(
        "--only", type=_names, default=subjects.NAMES, help=f"some of {','.join(subjects.NAMES)}"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="every round, for machines")
    form.add_argument("--markdown", action="store_true", help="tables ready for the README")
    return parser


def _seconds(text: str) -> int:
    if not (text.isdigit() and 1 <= int(text) <= 60):
        raise argparse.ArgumentTypeError("expected whole seconds from 1 to 60")
    return int(text)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(subjects.NAMES):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names


def _refuse(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
