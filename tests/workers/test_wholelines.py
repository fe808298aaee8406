"""Lines of several processes do not run into each other, however many are written at once."""

import os
from typing import TextIO, cast

from gateway.observability.logwriter import sink_of
from gateway.workers.wholelines import WholeLines

LINES, TIMES, WRITERS = 400, 12, 3


def test_what_is_written_at_once_stands_together() -> None:
    read, write = os.pipe()
    lines = WholeLines(write)
    writers = []
    for name in "abc"[:WRITERS]:
        pid = os.fork()
        if pid == 0:
            os.close(read)
            for _ in range(TIMES):
                lines.write(f"{name * 300}\n" * LINES)  # 120 kB: twice what a pipe holds
            os._exit(0)
        writers.append(pid)
    os.close(write)
    with os.fdopen(read, "rb", buffering=4096) as reader:
        batches = reader.read().splitlines()
    for pid in writers:
        os.waitpid(pid, 0)
    assert len(batches) == LINES * TIMES * WRITERS
    for at in range(0, len(batches), LINES):
        assert len(set(batches[at : at + LINES])) == 1
        assert len(batches[at]) == 300


def test_the_log_writes_to_it() -> None:
    read, write = os.pipe()
    sink_of(cast(TextIO, WholeLines(write)))(b"one\ntwo\n")
    os.close(write)
    with os.fdopen(read, "rb") as reader:
        assert reader.read() == b"one\ntwo\n"
