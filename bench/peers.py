"""`python bench/peers.py`: other gateways beside this one, in front of the same upstream, in one run.

Each peer is installed from its registry into a folder of its own (`.bench-peers`, kept for the next time) and
started as its own documentation starts it: one process, its access log off, a key to check where it can.
Whatever does not install or does not start is named in the result, with the reason. The exit status is 0, or
1 where a number is missing, or 2 where nothing could run.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from bench import document, plain, probe, report, streaming, wrk
from bench.apparatus import Apparatus, start, started
from bench.install import NotInstalledError
from bench.peer import PEERS, Peer
from bench.processes import ROOT, NotReadyError
from bench.progress import say
from bench.results import Results
from bench.run import machine, placement
from gateway import __version__

FOLDER = ROOT / ".bench-peers"


def measure(peers: Sequence[Peer], seconds: int, folder: Path) -> Results:
    """Install, start, measure, end. `seconds` is the length of one measurement."""
    results = Results(machine(), placement())
    with started(["gateway", "relay"], folder) as apparatus, ExitStack() as stack:
        apparatus.running = [
            replace(one, subject=replace(one.subject, rows=one.subject.rows[:1])) for one in apparatus.running
        ]
        for peer in peers:
            _join(peer, apparatus, folder, stack)
        plain.measure(apparatus, results, rounds=2, seconds=seconds)
        streaming.measure(apparatus, results, rounds=2, seconds=seconds)
        results.complaints = apparatus.complaints
    return results


def _join(peer: Peer, apparatus: Apparatus, folder: Path, stack: ExitStack) -> None:
    home = folder / peer.name
    home.mkdir(mode=0o700)
    try:
        say(f"installing {peer.name}")
        peer.install(FOLDER)
        subject = peer.subject(FOLDER, apparatus.upstream, home)
        running = start(subject, apparatus.cores.subject, folder, stack)
        status = probe.stream_status(subject.port, subject.further)
    except (NotInstalledError, NotReadyError, OSError, HTTPException, psutil.Error) as error:
        apparatus.complain(f"{peer.name} left out: {error}")
        return
    if status != 200:
        apparatus.complain(f"{peer.name} is not asked for streams: it answers them with {status}")
        running = replace(running, subject=replace(subject, stream_row=None))
    apparatus.running.append(running)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/peers.py", description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="length of one measurement (default 4)")
    parser.add_argument("--only", default=",".join(PEERS), help=f"some of {','.join(PEERS)}")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"and write it into {document.PAGE.name}")
    given = parser.parse_args(arguments)
    if not wrk.available():
        print("wrk is not installed", file=sys.stderr)
        return 2
    peers = [PEERS[name] for name in given.only.split(",") if name]
    with tempfile.TemporaryDirectory(prefix="gateway-peers-") as folder:
        results = measure(peers, given.seconds, Path(folder))
    versions = ", ".join(f"{peer.name} {peer.version(FOLDER)}" for peer in peers)
    markdown = f"{report.markdown(results)}\n- Versions: {versions}."
    print(markdown if given.markdown else f"{report.terminal(results)}\nVersions: {versions}.")
    if given.write:
        document.write(markdown, "bench-peers", __version__)
    return 1 if results.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
