"""Waiting until a process is at rest: what it put off, or had still to load, is its work as well."""

import time

from bench.processes import Process, pss

_LOOK = 0.2  # seconds between two looks at it
_AT_REST = 0.03  # of a core: an idle gateway uses less
_PATIENCE = 10.0
_STEADY = 2.0  # seconds; the gateway loads its tokenizer one second after its start


def put_off(process: Process) -> float:
    """Wait until the process and its store are idle; the CPU seconds that it still worked until then.

    A ledger that is drained behind the requests would otherwise be free, and would slow down whoever is
    measured next on the same core.
    """
    begun = process.cpu()
    before, deadline = sum(begun.values()), time.monotonic() + _PATIENCE
    quiet = 0
    while quiet < 3 and time.monotonic() < deadline:
        time.sleep(_LOOK)
        now = sum(process.cpu().values())
        quiet = quiet + 1 if now - before < _AT_REST * _LOOK else 0
        before = now
    return before - sum(begun.values())


def grown(process: Process) -> None:
    """Wait until it holds all that it holds at rest: what it loads later would be taken for growth."""
    most, since = 0, time.monotonic()
    deadline = since + _PATIENCE
    while time.monotonic() < min(since + _STEADY, deadline):
        time.sleep(_LOOK)
        size = sum(pss(member.pid) for member in process.members())
        if size > most * 1.01:
            most, since = size, time.monotonic()
