"""What others keep and Prometheus is shown: asked for at each scrape."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge

from gateway.observability.instruments import Tally
from gateway.observability.timeleft import TimeLeft


class Watches:
    """Each method shows one thing and is called once. What it is given is called at each scrape: it must not
    wait, and counts only ever grow.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def watch_store(self, up: Callable[[], bool]) -> None:
        """`gateway_store_up`."""
        self._gauge("gateway_store_up", "1 while the store answers.", up)

    def watch_reset(self, reset: Callable[[], bool]) -> None:
        """`gateway_store_reset`: whether the store is not the one whose counters were known."""
        text = "1 while the store answers, but is not the one whose counters were known."
        self._gauge("gateway_store_reset", text, reset)

    def watch_reservations(self, count: Callable[[], int]) -> None:
        """`gateway_reservations_open`: how many holds of this process are open."""
        self._gauge("gateway_reservations_open", "Holds of this process that have not ended.", count)

    def watch_journal(self, entries: Callable[[], int], replayed: Callable[[], int]) -> None:
        """`gateway_journal_entries`, those that wait for the store, and `gateway_journal_replayed_total`."""
        text = "Settlements on disk that wait for the store."
        self._gauge("gateway_journal_entries", text, entries)
        text = "Settlements that the store was told of later, from the journal."
        self._tally("gateway_journal_replayed", text, replayed)

    def watch_ledger(self, drained: Callable[[], int], lost: Callable[[], int]) -> None:
        """`gateway_ledger_drained_total`, rows written to the sink, and `gateway_ledger_lost_total`."""
        self._tally("gateway_ledger_drained", "Rows of the ledger that were written to its sink.", drained)
        text = "Rows of the ledger that were gone from the store before they were in the sink."
        self._tally("gateway_ledger_lost", text, lost)

    def watch_log(self, dropped: Callable[[], int]) -> None:
        """`gateway_log_dropped_total`."""
        self._tally("gateway_log_dropped", "Log lines given up because nobody took them in time.", dropped)

    def watch_endings(self, time_left: Callable[[], Mapping[str, int]]) -> None:
        """`gateway_model_time_left_seconds`, by model: few of them, and none that a client made up."""
        self.registry.register(TimeLeft(time_left))

    def watch_workers(self, alive: Callable[[], int], restarts: Callable[[], int]) -> None:
        """`gateway_workers` and `gateway_worker_restarts_total`, kept by whoever starts the workers."""
        self._gauge("gateway_workers", "Processes that accept requests.", alive)
        self._tally(
            "gateway_worker_restarts", "Workers that were started in place of one that ended.", restarts
        )

    def _gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(read)

    def _tally(self, name: str, text: str, count: Callable[[], int]) -> None:
        self.registry.register(Tally(name, text, count))
