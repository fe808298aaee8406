"""`python bench/run.py`: the gateway, a bare aiohttp relay and nginx side by side, and the targets.

See docs/performance.md for what is measured and how to read it.
"""

import argparse
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import document, filled, footprint, plain, report, scaling, streaming, subjects, targets, wrk
from bench.apparatus import started
from bench.cores import Cores
from bench.results import Results
from gateway import __version__

_PLAIN_ROUNDS = 3
_STREAM_ROUNDS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 if a number is missing or doubtful, or 2 if nothing could run."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.write and (given.quick or given.only != subjects.NAMES):
        parser.error("only a whole run is written")
    if not sys.platform.startswith("linux"):
        return _refuse("the benchmark needs Linux: it pins processes to cores and reads /proc")
    if not wrk.available():
        return _refuse("wrk is not installed (Debian and Ubuntu: apt-get install wrk nginx)")
    # SIGTERM unwinds as Ctrl-C does, so that everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = measure(given.only, given.seconds, quick=given.quick)
    print(_rendered(results, given))
    if given.write:
        document.write(_markdown(results), "bench", __version__)
    return 1 if results.complaints else 0


def measure(names: Sequence[str], seconds: int, *, quick: bool = False) -> Results:
    """Start, measure, end. `seconds` is the length of one measurement; there are about sixty.

    `quick`: without the filled store, which takes two minutes of the six or seven.
    """
    results = Results(machine(), placement())
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        started(names, Path(folder)) as apparatus,
    ):
        streaming.weigh(apparatus, results)
        plain.measure(apparatus, results, rounds=_PLAIN_ROUNDS, seconds=seconds)
        streaming.measure(apparatus, results, rounds=_STREAM_ROUNDS, seconds=seconds)
        results.complaints = apparatus.complaints
    if "gateway" in names:
        _measure_gateway(results, seconds, quick)
    return results


def _measure_gateway(results: Results, seconds: int, quick: bool) -> None:
    """What is told of the gateway alone: on a machine where the other subjects have ended."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        footprint.measure(Path(folder), results, results.complaints)
        with started([], Path(folder)) as apparatus:
            apparatus.complaints = results.complaints
            scaling.measure(apparatus, results, seconds)
            if not quick:
                filled.measure(apparatus, results, max(1, seconds // 2))


def _rendered(results: Results, given: argparse.Namespace) -> str:
    if given.json:
        return report.as_json(results)
    if given.markdown:
        return _markdown(results)
    return "\n\n".join([targets.terminal(results), report.terminal(results)])


def _markdown(results: Results) -> str:
    return "\n\n".join([targets.markdown(results), report.markdown(results)])


def machine() -> str:
    return f"{_processor()}, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def placement() -> str:
    cores = Cores.choose()
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
    parser.add_argument("--quick", action="store_true", help="without the filled store")
    parser.add_argument("--write", action="store_true", help=f"and write it into {document.PAGE.name}")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="every round, for machines")
    form.add_argument("--markdown", action="store_true", help="tables ready to be pasted")
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
