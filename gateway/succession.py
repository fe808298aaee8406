"""Which model is asked in another's place, and which model's end is announced, as one process knows it."""

from collections.abc import Collection, Iterable

from gateway.policy.endpoints import Endpoint
from gateway.policy.models import best
from gateway.policy.retired import find, redirect, seconds_left, shutdown_dates, sunset_headers
from gateway.policy.retirements import Retired
from gateway.settings import Models

_TOLD_BY = ("sunset", "deprecation")
MOST = 2_000  # models whose date is remembered; OpenAI lists some hundred


class Succession:
    """The owner's aliases first, then what OpenAI has said: the table of old, and upstreams' lists of models.

    `known` are the names that metrics may show; those that an upstream gives a date to are added.
    """

    def __init__(self, models: Models, known: Collection[str]) -> None:
        self._aliases = models.aliases
        self._mode = models.retired
        self._known = known
        self._listed: dict[str, Retired] = {}
        self._asked: set[str] = set()

    def sent(self, endpoint: Endpoint, asked: str, now: int) -> str:
        """The model to send for the one asked for, at `now` in ms.

        Whoever asks about a model, trains it or deletes it means this one: only an alias has it be another.
        Raises UnknownUrl (404, `model_retired`) where `models.retired` refuses it.
        """
        alias = best(self._aliases, asked)
        if alias is not None:
            return alias
        if endpoint.group == "fine_tuning" or "{model}" in endpoint.path:
            return asked
        return redirect(asked, self._mode, now, self._listed) or asked

    def notice(self, asked: str, said: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str]]:
        """What tells a client of the end of the model it asked for; metrics show the time left from now on.

        Empty where no end is announced. `said` are the upstream's own headers, in lower case: it knows best.
        """
        ending = self._ending(asked)
        if ending is None:
            return []
        if ending.name in self._known or ending.name in self._listed:
            self._asked.add(ending.name)
        if any(name in _TOLD_BY for name, _ in said):
            return []
        return list(sunset_headers(ending))

    def _ending(self, asked: str) -> Retired | None:
        """An alias to itself is how an owner says that a name is not OpenAI's model."""
        name = best(self._aliases, asked)
        if name == asked:
            return None
        return find(asked if name is None else name, self._listed)

    def learn(self, body: bytes) -> None:
        """Remember the dates in an answer to `GET /v1/models` or `/v1/models/{model}`."""
        for name, retired in shutdown_dates(body).items():
            if name in self._listed or len(self._listed) < MOST:
                self._listed[name] = retired

    def time_left(self, now: int) -> dict[str, int]:
        """Seconds left of every model that clients have asked for and that has an end; negative: past it."""
        endings = [found for name in sorted(self._asked) if (found := find(name, self._listed)) is not None]
        return {ending.name: seconds_left(ending, now) for ending in endings}

    def __repr__(self) -> str:
        return f"<Succession {self._mode}, {len(self._aliases)} aliases, {len(self._listed)} dates learnt>"
