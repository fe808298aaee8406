from pathlib import Path
from typing import Any

import pytest

from gateway.configuration.alertchecks import check_alerts, webhook_url
from gateway.configuration.complaints import Complaints
from gateway.settings import Alerts

HOOK = "https://hooks.slack.example/services/path-canary"


def found(**settings: Any) -> list[str]:
    complaints = Complaints()
    environ = {"HOOK": HOOK, "PLAIN": "http://a.example/canary", "KEY": "k"}
    check_alerts(Alerts(**settings), environ, complaints)
    said = list(complaints)
    assert "canary" not in "".join(said)
    return said


@pytest.mark.parametrize(
    "url",
    [
        "",
        HOOK,
        "env:HOOK",
        "https://hooks.example:8443/a?b=c",
        "http://127.0.0.1:9000/hook",
        "http://[::1]/hook",
        "http://10.1.2.3/hook",
        "http://localhost:9000",
        "http://mattermost:8065/hooks/x",
        "http://alerts.svc.cluster.local/",
        "http://alerts.monitoring.svc/",
    ],
)
def test_addresses_that_will_do(url: str) -> None:
    assert found(url=url) == []


def test_a_file_may_hold_the_address(tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text(HOOK + "\n")
    file.chmod(0o600)
    assert found(url=f"file:{file}") == []
    assert webhook_url(Alerts(url=f"file:{file}"), {}) == HOOK


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://hooks.example/canary", "readable on its way"),
        ("http://8.8.8.8/canary", "readable on its way"),
        ("env:PLAIN", "readable on its way"),
        ("env:UNSET", "not set"),
        ("ftp://canary.example/", "no http address"),
        ("canary.example/hook", "no http address"),
        ("https://", "no http address"),
        ("https://host:0/canary", "no http address"),
        ("https://host:port/canary", "no http address"),
        ("https://host/can ary", "no http address"),
        ("https://host/canary\r\nx: y", "no http address"),
        ("https://user:canary@host/", "credentials"),
    ],
)
def test_addresses_that_will_not_do_are_not_quoted(url: str, wrong: str) -> None:
    (complaint,) = found(url=url)
    assert complaint.startswith("alerts.url")
    assert wrong in complaint


@pytest.mark.parametrize("share", [0, 101, -5])
def test_a_share_is_a_percentage(share: int) -> None:
    (complaint,) = found(at=[50, share])
    assert complaint.startswith(f"alerts.at[1]: {share} is no share")


def test_an_address_and_nothing_to_tell_is_a_mistake() -> None:
    assert found(at=[]) == []
    (complaint,) = found(url=HOOK, at=[])
    assert complaint.startswith("alerts.at: there is nothing to tell")


def test_the_secret_is_a_reference() -> None:
    assert found(secret="env:KEY") == []
    (complaint,) = found(secret="whsec-canary")
    assert complaint.startswith("alerts.secret: this is no reference")


def test_the_address_is_what_is_written_or_what_it_refers_to() -> None:
    assert webhook_url(Alerts(), {}) == ""
    assert webhook_url(Alerts(url=HOOK), {}) == HOOK
    assert webhook_url(Alerts(url="env:HOOK"), {"HOOK": HOOK}) == HOOK
    with pytest.raises(ValueError, match="HOOK"):
        webhook_url(Alerts(url="env:HOOK"), {})
