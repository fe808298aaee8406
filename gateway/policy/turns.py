"""Which response of a session an event belongs to."""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from gateway.policy.realtime import DONE, Dialect, Event, fault_of, id_of, lane

Turn = TypeVar("Turn")


class Turns(Generic[Turn]):
    """The turns of one session: those that were asked for, then those that have begun.

    In the Realtime API a response has an id, and events name it. On a WebSocket of the Responses API the
    events of a lane (`stream_id`) belong to the one response that it is working on; lanes are first in,
    first out.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._asked: deque[tuple[str, str | None, Turn]] = deque()  # lane, event_id, turn
        self._running: dict[str, Turn] = {}

    def ask(self, event: Event, turn: Turn) -> None:
        """The client has asked for a response."""
        name = event.event_id if isinstance(event.event_id, str) else None
        self._asked.append((self._lane(event), name, turn))

    def begin(self, event: Event) -> Turn | None:
        """`response.created`: the turn that was asked for. None: nobody has, it began by itself."""
        wanted = self._lane(event)
        found = next((entry for entry in self._asked if entry[0] == wanted), None)
        if found is None:
            return None
        self._asked.remove(found)
        self.run(event, found[2])
        return found[2]

    def run(self, event: Event, turn: Turn) -> None:
        self._running[self._key(event)] = turn

    def of(self, event: Event) -> Turn | None:
        """The running turn that an event is about."""
        return self._running.get(self._key(event))

    def end(self, event: Event) -> Turn | None:
        """The turn that an event ends: the response's last event, or an error that takes its place."""
        if event.type in DONE:
            return self._running.pop(self._key(event), None)
        if event.type != "error":
            return None
        return self._refused(event) if self._dialect == "realtime" else self._failed(event)

    def _refused(self, event: Event) -> Turn | None:
        """What was asked for and not begun. A running response of the Realtime API ends with `response.done`.

        An error need not say what caused it. Whoever is taken for it wrongly begins all the same, and is then
        taken for a response that began by itself.
        """
        cause, second = fault_of(event)
        named = [entry for entry in self._asked if cause is not None and entry[1] == cause]
        nameless = [entry for entry in self._asked if entry[1] is None and (cause is None or second)]
        found = next(iter(named or nameless), None)
        if found is None:
            return None
        self._asked.remove(found)
        return found[2]

    def _failed(self, event: Event) -> Turn | None:
        running = self._running.pop(self._key(event), None)
        if running is not None:
            return running
        wanted = self._lane(event)
        found = next((entry for entry in self._asked if entry[0] == wanted), None)
        if found is not None:
            self._asked.remove(found)
        return None if found is None else found[2]

    def running(self) -> Iterator[tuple[str, Turn]]:
        """Those that have begun, by the response's id or their lane."""
        return iter(list(self._running.items()))

    def take(self) -> list[Turn]:
        """All that are left; there are none afterwards."""
        left = list(self)
        self._running.clear()
        self._asked.clear()
        return left

    def __iter__(self) -> Iterator[Turn]:
        yield from list(self._running.values())
        yield from [turn for _, _, turn in self._asked]

    def __len__(self) -> int:
        return len(self._running) + len(self._asked)

    def _lane(self, event: Event) -> str:
        return lane(event) if self._dialect == "responses" else ""

    def _key(self, event: Event) -> str:
        return lane(event) if self._dialect == "responses" else id_of(event)
