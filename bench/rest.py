"""Waiting until a process is at rest: what it put off while it was asked is work for those requests, too."""

import time

from bench.processes import Process

_LOOK = 0.2  # seconds between two looks at it
_AT_REST = 0.03  # of a core: an idle gateway uses less
_PATIENCE = 10.0


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
