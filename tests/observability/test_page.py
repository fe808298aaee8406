import pytest
from prometheus_client import CollectorRegistry, Gauge

from gateway.observability.page import page


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8", b"up 1.0\n"),
        ("application/openmetrics-text; version=x", "", b"up 1.0\n"),
        (
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text; version=1.0.0",
            b"# EOF\n",
        ),
    ],
)
def test_is_in_the_newest_format_that_the_reader_knows(accept: str, content_type: str, end: bytes) -> None:
    registry = CollectorRegistry()
    Gauge("up", "Up.", registry=registry).set(1)
    text, named = page(registry, accept)
    assert text.endswith(end)
    assert named.startswith(content_type)
