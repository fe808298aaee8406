from prometheus_client import CollectorRegistry

from gateway.observability.watches import Watches


def test_shows_what_others_keep_as_it_is_at_each_scrape() -> None:
    registry = CollectorRegistry()
    watches = Watches(registry)
    kept = {"entries": 3}
    watches.watch_store(lambda: True)
    watches.watch_reset(lambda: False)
    watches.watch_reservations(lambda: 7)
    watches.watch_journal(lambda: kept["entries"], lambda: 5)
    watches.watch_ledger(lambda: 100, lambda: 1)
    watches.watch_log(lambda: 9)
    watches.watch_endings(lambda: {"gpt-4o": 53})
    watches.watch_workers(lambda: 4, lambda: 2)
    kept["entries"] = 4
    shown = {sample.name: sample.value for family in registry.collect() for sample in family.samples}
    assert shown == {
        "gateway_store_up": 1,
        "gateway_store_reset": 0,
        "gateway_reservations_open": 7,
        "gateway_journal_entries": 4,
        "gateway_journal_replayed_total": 5,
        "gateway_ledger_drained_total": 100,
        "gateway_ledger_lost_total": 1,
        "gateway_log_dropped_total": 9,
        "gateway_model_time_left_seconds": 53,
        "gateway_workers": 4,
        "gateway_worker_restarts_total": 2,
    }
