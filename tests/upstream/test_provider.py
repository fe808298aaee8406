"""What is remembered of an upstream."""

import pytest

from gateway.exchange import Outbound
from gateway.settings import Upstream
from gateway.upstream import failures
from gateway.upstream.provider import Provider
from gateway.upstream.secrets import NO_SECRET, Secret

SETTINGS = Upstream(name="up", base_url="http://up.example/v1/")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "ok"), (304, "ok"), (400, "client_error"), (429, "rate_limited"), (500, "server_error")],
)
def test_an_answer(status: int, outcome: str) -> None:
    told: list[tuple[str, str]] = []
    provider = Provider(SETTINGS, NO_SECRET, lambda *what: told.append(what))
    assert provider.report()["up"] is None
    provider.in_flight = 2
    provider.answered(status)
    assert told == [("up", outcome)]
    assert (provider.report()["up"], provider.error) == (True, None)
    assert repr(provider) == f"<Provider up {outcome}, 1 in flight>"


@pytest.mark.parametrize("failure", [failures.NOT_SENT, failures.SILENT, failures.CUT])
def test_a_failure(failure: failures.Failure) -> None:
    told: list[tuple[str, str]] = []
    provider = Provider(SETTINGS, NO_SECRET, lambda *what: told.append(what))
    provider.in_flight = 1
    provider.failed(failure)
    assert told == [("up", failure.outcome)]
    assert provider.report() == {
        "name": "up",
        "base_url": "http://up.example/v1",
        "up": False,
        "last_outcome": failure.outcome,
        "last_error": failure.kind,
        "in_flight": 0,
    }


def test_its_key_replaces_any_other() -> None:
    provider = Provider(SETTINGS, Secret("sk-1", "env:K"), lambda *_: None)
    headers = provider.headers(Outbound("POST", "/x", (("Api-Key", "theirs"), ("x", "y")), b""))
    assert headers == [("x", "y"), ("authorization", "Bearer sk-1")]


def test_a_base_url_that_cannot_be_used() -> None:
    with pytest.raises(ValueError, match="http"):
        Provider(Upstream(name="up", base_url="ftp://x"), NO_SECRET, lambda *_: None)
