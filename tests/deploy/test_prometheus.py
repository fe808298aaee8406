from pathlib import Path

import yaml

from tests.deploy.conftest import Run
from tests.deploy.fed import feed, telemetry
from tests.deploy.live import DEPLOY

_PROMETHEUS = DEPLOY / "prometheus"


def test_promtool_understands_the_configuration(run: Run) -> None:
    said = run("promtool", "check", "config", _PROMETHEUS / "prometheus.yml")
    assert "16 rules found" in said


def test_every_alert_fires_when_it_should_and_not_before(run: Run) -> None:
    run("promtool", "test", "rules", Path(__file__).parent / "alerts_test.yml")


def test_every_alert_is_tested() -> None:
    rules = yaml.safe_load((_PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((Path(__file__).parent / "alerts_test.yml").read_text())["tests"]
    fired = {
        case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in rules}


def test_promtool_finds_no_fault_in_the_metrics(run: Run) -> None:
    fed = telemetry()
    feed(fed)
    assert run("promtool", "check", "metrics", given=fed.render("")[0].decode()) == ""
