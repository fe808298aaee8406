"""How many processes serve."""

import os

from gateway.settings import Server

MOST = 256  # workers: beyond it is a mistake in writing, not a machine


def processes(server: Server) -> int:
    """`server.workers`, or the cores that this process may use where that is 0."""
    return server.workers or cores()


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
