"""Everything that runs during a measurement: the upstream and the subjects, on their cores."""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import subjects
from bench.cores import Cores
from bench.probe import asked
from bench.processes import POLL, NotReadyError, Process, free_port
from bench.progress import say
from bench.subjects import Subject


@dataclass(frozen=True, slots=True)
class Running:
    """A subject and its process."""

    subject: Subject
    process: Process


@dataclass(slots=True)
class Apparatus:
    """The upstream comes first among `running`: it is measured too, as the ceiling."""

    cores: Cores
    folder: Path
    running: list[Running] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    # Sixteen digits, never the same twice: each measurement may ask ten million unique questions.
    numbers: Iterator[int] = field(
        default_factory=lambda: itertools.count(int(time.time()) * 1_000_000, 10_000_000)
    )

    def asked(self) -> int:
        """How many completions have reached the upstream so far."""
        return asked(self.upstream)

    @property
    def upstream(self) -> int:
        """The port of the upstream that all subjects share."""
        return self.running[0].subject.port

    def complain(self, text: str) -> None:
        say(f"complaint: {text}")
        self.complaints.append(text)


@contextmanager
def started(names: Sequence[str], folder: Path) -> Iterator[Apparatus]:
    """Start the upstream and the named subjects; one that does not start is a complaint, not the end."""
    cores = Cores.choose()
    apparatus = Apparatus(cores, folder)
    with ExitStack() as stack:
        upstream = subjects.upstream(free_port())
        apparatus.running.append(start(upstream, cores.upstream, folder, stack))
        for name in names:
            if missing := subjects.missing(name):
                apparatus.complain(f"{name} left out: {missing} is not installed")
                continue
            try:
                subject = subjects.prepare(name, upstream.port, folder)
                apparatus.running.append(start(subject, cores.subject, folder, stack))
            except NotReadyError as error:
                apparatus.complain(f"{name} left out: {error}")
        yield apparatus


def start(
    subject: Subject,
    core: int,
    folder: Path,
    stack: ExitStack,
    *,
    also: Sequence[int] = (),
    poll: float = POLL,
) -> Running:
    """Start it on that core, and `also` those; it ends with the stack. Raises NotReadyError.

    `poll` is how many seconds pass between two looks whether it is ready.
    """
    say(f"starting {subject.name} on core {', '.join(map(str, (core, *also)))}")
    process = Process(
        *(subject.name, subject.command, core, folder, subject.environment),
        also=also,
        seconds=subject.seconds,
    )
    stack.enter_context(process)
    process.wait_ready(subject.ready, poll)
    return Running(subject, process)
