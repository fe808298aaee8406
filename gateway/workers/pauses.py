"""How long a worker that died is left alone before another takes its place."""

from dataclasses import dataclass
from typing import Final

SETTLED: Final = 0.5  # seconds of serving after which a death says nothing about the next one
FIRST: Final = 0.25
LONGEST: Final = 10.0
LONGEST_KILLED: Final = 1.0


@dataclass(slots=True)
class Pauses:
    """Of one place among the workers. `failures` counts starts in a row that came to nothing."""

    young: int = 0
    failures: int = 0

    def after(self, served: float | None, *, killed: bool = False) -> float:
        """Seconds until the next start, after a worker that served for so long; None: it never did.

        The first is replaced at once; those that die young after it wait twice as long each time. `killed`:
        by somebody, or because the machine has no memory left, which says little about the next one.
        """
        if served is not None:
            self.failures = 0
        elif not killed:
            self.failures += 1
        if served is not None and served >= SETTLED:
            self.young = 0
            return 0.0
        self.young += 1
        longest = LONGEST_KILLED if killed else LONGEST
        return 0.0 if self.young == 1 else min(longest, FIRST * 2 ** min(self.young - 2, 20))
