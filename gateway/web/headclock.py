"""How long, and in how many bytes, a request's head may take."""

import asyncio
from collections.abc import Callable

MOST = 64 * 1024  # bytes; nginx takes half of that


class HeadClock:
    """Runs while a head is waited for, from the connection's beginning or a head's first bytes. `late` is
    called once for each start that is not stopped within `seconds`."""

    __slots__ = ("_late", "_seconds", "_size", "_timer")

    def __init__(self, seconds: float, late: Callable[[], None]) -> None:
        self._seconds = seconds
        self._late = late
        self._size = 0  # bytes of a head that has begun
        self._timer: asyncio.TimerHandle | None = None

    @property
    def begun(self) -> bool:
        """Some of a head is here."""
        return self._size > 0

    @property
    def too_long(self) -> bool:
        return self._size > MOST

    def arrived(self, size: int) -> None:
        """So many more bytes, and the head has not ended."""
        self._size += size
        if self._timer is None:
            self.start()

    def start(self, seconds: float | None = None) -> None:
        """`seconds`: what is left, where somebody else has begun to wait."""
        left = self._seconds if seconds is None else seconds
        self._timer = asyncio.get_running_loop().call_later(left, self._fire)

    def stop(self) -> None:
        """The head is here, or nobody waits for it any more."""
        self._size = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._late()

    def __repr__(self) -> str:
        return f"<HeadClock {self._size} bytes, {'off' if self._timer is None else 'on'}>"
