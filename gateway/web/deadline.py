"""How long a connection may wait for something; set and cleared often, late seldom."""

import asyncio
from collections.abc import Callable


def _nothing() -> None: ...


class Deadline:
    """`late` is called once the time that was set last is over, unless it was cleared.

    Its timer is not moved with each request (1.5 µs): it fires, sees what has changed, and sleeps on.
    """

    __slots__ = ("_at", "_due", "_late", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, late: Callable[[], None]) -> None:
        self._loop = loop
        self._late = late
        self._due: float | None = None  # of the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0  # when the timer fires

    @property
    def left(self) -> float | None:
        """Seconds; None: nothing is waited for."""
        return None if self._due is None else max(0.0, self._due - self._loop.time())

    def set(self, seconds: float) -> None:
        self._due = due = self._loop.time() + seconds
        if self._timer is None or self._at > due:
            self._disarm()
            self._arm(due)

    def clear(self) -> None:
        """Nothing is waited for. The timer stays, for the next wait."""
        self._due = None

    def stop(self) -> None:
        """The connection ends: no timer is left behind, and nothing that holds it."""
        self._disarm()
        self._due = None
        self._late = _nothing

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due: float) -> None:
        self._due = self._at = due
        self._timer = self._loop.call_at(due, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._arm(self._due)
        else:
            self._due = None
            self._late()

    def __repr__(self) -> str:
        return f"<Deadline {'off' if self._due is None else f'in {self.left:.1f} s'}>"
