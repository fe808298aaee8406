"""What Prometheus is told of money: added up in whole nano-dollars, divided only when it is shown."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from gateway.exchange import Exchange
from gateway.observability.cells import OTHER, counters
from gateway.observability.tables import Row, Table, TableMetric
from gateway.policy import ledger
from gateway.policy.money import NANO
from gateway.policy.records import Unit

_DOLLARS = Unit.DOLLARS


class Dollars(Collector):
    """A counter of dollars that is never off by a rounding: `round(shown * 1e9)` is the exact sum.

    The client library's own counters add floats, and a million small costs added so drift away from the
    ledger's sum. A float that is divided once holds each sum below 2^51 nano-dollars: two million dollars
    for each combination of labels. Past `most` combinations what is new is counted under "other".
    """

    def __init__(self, name: str, text: str, *labels: str, most: int = 10_000) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._overflow = (OTHER,) * len(labels)
        self._most = most
        self._sums: dict[tuple[str, ...], int] = {} if labels else {(): 0}

    def add(self, nano: int, *values: str) -> None:
        """Count `nano` nano-dollars, 0 or more, under these label values."""
        sums = self._sums
        if values not in sums:
            if len(sums) >= self._most:
                values = self._overflow
            sums.setdefault(values, 0)
        sums[values] += nano

    def collect(self) -> Iterator[Metric]:
        rows: list[Row] = [(values, None, nano, ()) for values, nano in self._sums.items()]
        yield TableMetric(Table(self._name, "counter", self._text, self._labels, rows, per=NANO))

    def __len__(self) -> int:
        return len(self._sums)

    def __repr__(self) -> str:
        return f"<Dollars {self._name} {sum(self._sums.values())} nano-dollars>"


class Money:
    """The instruments of money, registered in `registry` and nowhere else."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def dollars(name: str, text: str, *labels: str) -> Dollars:
            made = Dollars(name, text, *labels)
            registry.register(made)
            return made

        self._cost = dollars("gateway_cost_dollars", "What was charged, in US dollars.", "model", "team")
        self._saved = dollars(
            "gateway_saved_dollars", "What cached answers would have cost, in US dollars.", "team"
        )
        self._overrun = dollars(
            "gateway_overrun_dollars", "What was charged above what had been reserved, in US dollars."
        )
        self._refunded = dollars(
            "gateway_refunded_dollars",
            "What was charged at the end of a lease and taken back when its request ended after all.",
        )
        name, text = "gateway_unpriced_requests", "Requests whose price nobody knows, so that they cost 0."
        self._unpriced = counters(registry, name, text, "model")

    def observe(self, exchange: Exchange, model: str, team: str) -> None:
        """Count an exchange that has ended and was settled. `model` and `team` are labels."""
        if exchange.saved:
            self._saved.add(exchange.saved, team)
        if not exchange.dispatched:
            return
        if not exchange.priced:
            self._unpriced[(model,)].inc()
        if exchange.cost is not None:
            self._cost.add(exchange.cost, model, team)
            if over := overrun(exchange):
                self._overrun.add(over)

    def expired(self, row: ledger.Row, model: str, team: str) -> None:
        """Count the row of a request that was charged for because its lease ran out."""
        if row.cost is None:
            self._unpriced[(model,)].inc()
        else:
            self._cost.add(row.cost, model, team)

    def refunded(self, nano: int) -> None:
        self._refunded.add(nano)


def overrun(exchange: Exchange) -> int:
    """Nano-dollars that were charged above what was reserved of a dollar limit.

    An `estimate = "learned"` limit reserves less than the most. A limit in shadow mode cannot be overdrawn.
    """
    least: int | None = None
    for claim in exchange.claims:
        if claim.held:
            limit = claim.limit
            if limit.unit is _DOLLARS and not limit.shadow and (least is None or claim.amount < least):
                least = claim.amount
    return 0 if least is None else max(0, (exchange.cost or 0) - least)
