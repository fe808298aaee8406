"""What Prometheus and the log are told. `observe` is fed one finished exchange at a time.

Label values come from closed sets: what a client invents is counted as "other".
"""

import logging
import platform
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import msgspec
from prometheus_client import CollectorRegistry, Info, ProcessCollector

from gateway import __version__
from gateway.errors import GatewayError
from gateway.exchange import Exchange, Outcome
from gateway.observability import logs
from gateway.observability.accessline import AccessLine, line_of, overhead_seconds
from gateway.observability.cells import OTHER
from gateway.observability.gathering import Gathered
from gateway.observability.genai import GenAi, first_token_seconds
from gateway.observability.instruments import NONE, Instruments, status_label
from gateway.observability.money import Money
from gateway.observability.page import page
from gateway.observability.usedlimits import UsedLimits
from gateway.observability.watches import Watches
from gateway.policy import ledger
from gateway.policy.records import Usage

log = logging.getLogger("gateway")
access_log = logging.getLogger("gateway.access")

# How calls of an upstream end that is not up. An error status is an answer: whoever sent it is.
_NO_ANSWER = frozenset({"unreachable", "timeout", "protocol_error"})
# Codes that are no class's own. Whatever else is raised appears when it first happens.
_MORE_REASONS = ("model_not_allowed", "address_not_allowed", "draining")
_STORE_OPERATIONS = (
    *("enter", "reserve", "dispatch", "settle", "release", "renew", "expire", "standings", "get", "put"),
)
_REFUSED = Outcome.REFUSED
_ALERTS = ("sent", "refused", "failed")
# A call has none of these, as a rule: they have no series before there is a token of them.
_RARE_KINDS = ("cache_write", "input_audio", "output_audio", "input_image", "output_image")


class Telemetry(Watches):
    """A registry of its own, and the only one who writes to it.

    `known_models` are the names that may be a label, `known_team` says which teams may; both are asked each
    time, so both may change. `clock` is monotonic seconds, the one that exchanges are timed with.
    """

    def __init__(
        self,
        known_models: Collection[str] = (),
        known_team: Callable[[str], bool] = lambda name: True,
        clock: Callable[[], float] = time.perf_counter,
        most_limits: int = 1000,
    ) -> None:
        self._known_models = known_models
        self._known_team = known_team
        self._clock = clock
        self._live: set[Exchange] = set()
        super().__init__(CollectorRegistry())
        self._stamp = logs.Stamp()
        self._ended = Gathered(self._tell, logs.overheard)
        self.registry.register(self._ended)
        self._on = Instruments(self.registry)
        self._money = Money(self.registry)
        self._gen_ai = GenAi(self.registry)
        self._limits = UsedLimits(clock, most_limits)
        self.registry.register(self._limits)
        ProcessCollector(registry=self.registry)
        self._begin()

    def _begin(self) -> None:
        Info("gateway_build", "What is running.", registry=self.registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        on = self._on
        on.cache.touch(("hit", "miss", "joined", "bypass"))
        on.rejected.touch(error.code for error in _with_heirs(GatewayError))
        on.rejected.touch(_MORE_REASONS)
        on.settlements.touch(("usage", "estimate", "lease"))
        on.store_errors.touch(_STORE_OPERATIONS)
        on.alerts.touch(_ALERTS)
        on.inflight[("requests",)].set_function(lambda: sum(one.finished is None for one in self._live))
        on.inflight[("streams",)].set_function(lambda: sum(map(_streams, self._live)))
        on.inflight[("sessions",)].set_function(lambda: sum(map(_is_session, self._live)))

    def started(self, exchange: Exchange) -> None:
        """A request has arrived. `observe` must follow."""
        self._live.add(exchange)

    def observe(self, exchange: Exchange) -> None:
        """Count and log one request. Called once, when it has ended and was settled."""
        self._live.discard(exchange)
        self._ended.add((exchange, self._clock() if exchange.finished is None else exchange.finished))

    def _tell(self, ended: Sequence[tuple[Exchange, float]]) -> None:
        lines: list[AccessLine] | None = [] if access_log.isEnabledFor(logging.INFO) else None
        now = self._stamp(time.time_ns() // 1_000_000)
        for exchange, finished in ended:
            try:
                self._observe(exchange, finished, now, lines)
            except Exception:  # which is not to cost the others their lines
                log.exception("a request could not be counted", extra={"request_id": exchange.id})
        if lines:
            logs.access(lines)

    def _observe(self, exchange: Exchange, finished: float, now: str, lines: list[AccessLine] | None) -> None:
        model = self._model(exchange.sent_model or (exchange.facts.model if exchange.facts else None))
        team = self._team(exchange.client.team if exchange.client else None)
        overhead = overhead_seconds(exchange, finished)
        self._count(exchange, model, team)
        self._time(exchange, model, finished, overhead)
        self._money.observe(exchange, model, team)
        if exchange.dispatched:
            self._spend(exchange, model, team)
            self._gen_ai.observe(exchange, model, finished)
        if exchange.standings:
            self._limits.meet(exchange.standings, finished)
        if lines is not None:
            lines.append(line_of(now, exchange, model, finished, overhead))

    def refused(self, error: GatewayError) -> None:
        """A request was refused before it became an exchange: malformed, or for a path that nobody knows."""
        self._on.requests[OTHER, NONE, NONE, str(error.status), "bypass"].inc()
        self._on.rejected[(error.code,)].inc()

    def upstream_outcome(self, name: str, outcome: str) -> None:
        """A call of an upstream has ended: ok, client_error, server_error, rate_limited; or, for want of an
        answer, unreachable, timeout, protocol_error."""
        self._on.upstream_requests[name, outcome].inc()
        self._on.upstream_up[(name,)].set(outcome not in _NO_ANSWER)

    def store_error(self, op: str) -> None:
        """A call of the store failed; `op` is its method's name."""
        self._on.store_errors[(op,)].inc()

    def draining(self, draining: bool) -> None:
        self._on.draining.set(draining)
        if draining:
            self._ended.stop_waiting()

    def expired(self, rows: Iterable[bytes]) -> None:
        """Count holds that were ended because their lease had run out, as `Holds.expire` returns them."""
        for row in filter(None, rows):
            self._on.settlements[("lease",)].inc()
            try:
                self._charge(ledger.decode(row))
            except (msgspec.DecodeError, UnicodeDecodeError):
                log.warning("a ledger row of another version is not counted")

    def refunded(self, cost: int) -> None:
        """A request was settled after its lease had been charged for, at `cost` nano-dollars.

        `expired` has counted that, and `observe` counts the whole cost: this one is what is in both.
        """
        self._money.refunded(cost)

    def alert(self, outcome: str) -> None:
        """A notice to the webhook has ended: sent, refused (by its answer) or failed (for want of one)."""
        self._on.alerts[(outcome,)].inc()

    def render(self, accept: str) -> tuple[bytes, str]:
        """All metrics and their content type, in the newest format that `accept` (the header) allows."""
        return page(self.registry, accept)

    def _model(self, name: str | None) -> str:
        if name is None:
            return NONE
        return name if name in self._known_models else OTHER

    def _team(self, name: str | None) -> str:
        if name is None:
            return NONE
        return name if self._known_team(name) else OTHER

    def _count(self, exchange: Exchange, model: str, team: str) -> None:
        on, cache = self._on, exchange.cache
        on.requests[exchange.operation, model, team, status_label(exchange.status), cache].n += 1
        if exchange.error is not None:
            on.rejected[(exchange.error.code,)].n += 1
        # Whoever is refused before the look-up still says "bypass", and asked the cache nothing.
        if cache != "bypass" or exchange.outcome is not _REFUSED:
            on.cache[(cache,)].n += 1
        for limit in exchange.shadowed:
            on.shadow_refusals[(limit,)].n += 1
        if exchange.shared:
            on.shared_requests.n += 1

    def _time(self, exchange: Exchange, model: str, finished: float, overhead: float | None) -> None:
        on, endpoint = self._on, exchange.operation
        on.duration[(endpoint,)].observe(finished - exchange.started)
        if overhead is not None:
            on.overhead[(endpoint,)].observe(overhead)
        if (waited := first_token_seconds(exchange)) is not None:
            on.first_token[endpoint, model].observe(waited)

    def _spend(self, exchange: Exchange, model: str, team: str) -> None:
        usage = exchange.usage
        if usage is not None:
            self._on.settlements[("estimate" if usage.estimated else "usage",)].n += 1
            self._tokens(usage, model, team)

    def _charge(self, row: ledger.Row) -> None:
        model, team = self._model(row.sent or row.model), self._team(row.team)
        self._tokens(row, model, team)
        self._money.expired(row, model, team)

    def _tokens(self, used: Usage | ledger.Row, model: str, team: str) -> None:
        taken, given, cached, reasoning = self._on.usual_tokens[model, team]
        taken.n += used.input
        given.n += used.output
        cached.n += used.cached
        reasoning.n += used.reasoning
        for kind in _RARE_KINDS:
            if count := getattr(used, kind):
                self._on.tokens[model, team, kind].n += count

    def __repr__(self) -> str:
        return f"<Telemetry {len(self._live)} live, {len(self._limits)} limits met>"


def _streams(exchange: Exchange) -> bool:
    return exchange.finished is None and exchange.facts is not None and exchange.facts.stream


def _is_session(exchange: Exchange) -> bool:
    return exchange.finished is None and exchange.status == 101


def _with_heirs(error: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield error
    for heir in error.__subclasses__():
        yield from _with_heirs(heir)
