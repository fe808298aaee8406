from prometheus_client import CollectorRegistry, generate_latest

from gateway.observability.timeleft import TimeLeft


def test_shows_the_time_as_it_is_at_each_scrape() -> None:
    registry = CollectorRegistry()
    left = {"gpt-4o": 5300, "gpt-4": -3000}
    registry.register(TimeLeft(lambda: left))
    assert registry.get_sample_value("gateway_model_time_left_seconds", {"model": "gpt-4o"}) == 5300
    assert registry.get_sample_value("gateway_model_time_left_seconds", {"model": "gpt-4"}) == -3000
    left["gpt-4o"] = 5200
    assert b'gateway_model_time_left_seconds{model="gpt-4o"} 5200.0' in generate_latest(registry)
