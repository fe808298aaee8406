from prometheus_client import CollectorRegistry, Counter

from gateway.observability.instruments import Family, Instruments, Tally, status_label


def test_a_family_makes_each_child_once() -> None:
    registry = CollectorRegistry()
    family = Family(Counter("calls", "Calls.", ["op", "by"], registry=registry), ("op", "by"))
    family["get", "us"].inc()
    family["get", "us"].inc()
    assert registry.get_sample_value("calls_total", {"op": "get", "by": "us"}) == 2
    assert len(family) == 1


def test_a_full_family_counts_what_is_new_as_other() -> None:
    registry = CollectorRegistry()
    family = Family(Counter("calls", "Calls.", ["op"], registry=registry), ("op",), most=3)
    for number in range(1000):
        family[(f"op{number}",)].inc()
    family[("op0",)].inc()
    assert registry.get_sample_value("calls_total", {"op": "op0"}) == 2
    assert registry.get_sample_value("calls_total", {"op": "other"}) == 997
    assert len(family) == 4


def test_touched_children_are_shown_as_zero() -> None:
    registry = CollectorRegistry()
    Instruments(registry).cache.touch(["hit"])
    assert registry.get_sample_value("gateway_cache_requests_total", {"result": "hit"}) == 0


def test_a_tally_shows_what_somebody_else_counted() -> None:
    registry = CollectorRegistry()
    lost = [1]
    registry.register(Tally("lost_lines", "Lines lost.", lambda: sum(lost)))
    lost.append(3)
    assert registry.get_sample_value("lost_lines_total") == 4


def test_a_status_that_http_does_not_have_is_other() -> None:
    assert [status_label(status) for status in (99, 100, 499, 599, 600, 10_000)] == [
        *("other", "100", "499", "599", "other", "other")
    ]


def test_two_sets_of_instruments_share_nothing() -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    Instruments(one).draining.set(1)
    Instruments(other)
    assert one.get_sample_value("gateway_draining") == 1
    assert other.get_sample_value("gateway_draining") == 0
