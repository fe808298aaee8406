"""A coroutine that is carried on by what it waits for, without a task."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Work(asyncio.Future[None]):
    """Done when the coroutine is over, however it ended. Begun by `go_on`, which runs it here and now as far
    as it gets without waiting.

    It may wait for futures, and for nothing that asks which task it runs in, as `asyncio.timeout` does. Most
    of what follows an answer waits once, for the store: to make a task of it takes longer than to do it.
    `ended` is called once, with what it raised.
    """

    __slots__ = ("_awaited", "_coroutine", "_ended", "_name")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, object],
        name: str,
        ended: Callable[["Work", BaseException | None], None],
    ) -> None:
        super().__init__()
        self._coroutine = coroutine
        self._name = name
        self._ended = ended
        self._awaited: asyncio.Future[Any] | None = None

    def go_on(self, _: object = None) -> None:
        self._awaited = None
        error: BaseException | None = None
        try:
            awaited = self._coroutine.send(None)
        except StopIteration:
            pass
        except (Exception, asyncio.CancelledError) as raised:
            error = raised
        else:
            self._wait_for(awaited)
            return
        self.set_result(None)
        self._ended(self, error)

    def _wait_for(self, awaited: Any) -> None:
        if awaited is None:  # a turn of the loop
            self.get_loop().call_soon(self.go_on)
            return
        awaited._asyncio_future_blocking = False  # as a task says that it has heard
        self._awaited = awaited
        awaited.add_done_callback(self.go_on)

    def cancel(self, msg: object = None) -> bool:
        """What it waits for is cancelled: so it hears of it. It ends when it likes."""
        return self._awaited is not None and self._awaited.cancel()

    def get_name(self) -> str:
        """As a task's."""
        return self._name

    def __repr__(self) -> str:
        return f"<Work {self._name}, {'over' if self.done() else 'under way'}>"
