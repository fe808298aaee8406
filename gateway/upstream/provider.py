"""One configured upstream: where it is, what it is told of us, and what was last seen of it."""

from collections.abc import Callable
from typing import Any

from gateway.exchange import Outbound
from gateway.settings import Upstream
from gateway.upstream import failures
from gateway.upstream.failures import Failure
from gateway.upstream.heads import OURS, Heads
from gateway.upstream.secrets import Secret
from gateway.upstream.target import base_url


class Provider:
    """`on_outcome` is told its name and each call's outcome, once, when the call is over.

    Raises ValueError for a `base_url` that cannot be used.
    """

    def __init__(self, settings: Upstream, secret: Secret, on_outcome: Callable[[str, str], None]) -> None:
        self.name = settings.name
        self.base = base_url(settings.base_url)
        self.idle = float(settings.idle_timeout)
        self.first_byte = float(settings.first_byte_timeout)
        self.connecting = float(settings.connect_timeout)
        self.credentials = (("authorization", f"Bearer {secret.reveal()}"),) if secret else ()
        self.heads = Heads(self.base, self.credentials)
        self.in_flight = 0
        self.outcome: str | None = None
        self.error: str | None = None
        self._on_outcome = on_outcome

    def headers(self, request: Outbound) -> list[tuple[str, str]]:
        passed = [(name, value) for name, value in request.headers if name.lower() not in OURS]
        return [*passed, *self.credentials]

    def answered(self, status: int) -> None:
        """A call is over, with an answer."""
        self._conclude("ok" if status < 400 else outcome_of(status), None)

    def failed(self, failure: Failure) -> None:
        """A call is over, without an answer, or without the end of one."""
        self._conclude(failure.outcome, failure.kind)

    def _conclude(self, outcome: str, error: str | None) -> None:
        self.in_flight -= 1
        self.outcome = outcome
        self.error = error
        self._on_outcome(self.name, outcome)

    @property
    def up(self) -> bool | None:
        """Does it answer? None: nobody has asked yet."""
        return None if self.outcome is None else self.outcome not in failures.OUTCOMES

    def report(self) -> dict[str, Any]:
        """As the admin API shows it."""
        return {
            "name": self.name,
            "base_url": str(self.base),
            "up": self.up,
            "last_outcome": self.outcome,
            "last_error": self.error,
            "in_flight": self.in_flight,
        }

    def __repr__(self) -> str:
        return f"<Provider {self.name} {self.outcome or 'unused'}, {self.in_flight} in flight>"


def outcome_of(status: int) -> str:
    if status < 400:
        return "ok"
    if status == 429:
        return "rate_limited"
    return "client_error" if status < 500 else "server_error"
