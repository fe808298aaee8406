import importlib.util
import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import Run
from tests.deploy.fed import feed, telemetry
from tests.deploy.live import DASHBOARD, DEPLOY, expressions, panels

_METRIC = re.compile(r"\b(?:gateway|gen_ai_client|process)_\w+(?=[\s{\[)]|$)")
_ROWS = [
    *(
        "Traffic and errors",
        "Latency",
        "Tokens",
        "Money",
        "Cache",
        "Quotas and refusals",
        "The gateway's own overhead",
    ),
    *("Upstreams", "Store", "In flight"),
]


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    """Run as a script is: what lies beside it can be imported."""
    folder = str(DEPLOY / "grafana")
    sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("generate", DEPLOY / "grafana" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(folder)
    for name in ("panels", "rows"):
        del sys.modules[name]


def drawn() -> list[dict[str, Any]]:
    return [panel for panel in panels() if panel["type"] != "row"]


def test_what_is_committed_is_what_is_generated(generator: ModuleType) -> None:
    assert DASHBOARD.read_text() == generator.rendered(), "run: python deploy/grafana/generate.py"
    assert generator.TARGET.resolve() == DASHBOARD.resolve()


def test_promtool_understands_every_expression(run: Run, tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:{number}", "expr": expression}
        for number, expression in enumerate(expressions())
    ]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run("promtool", "check", "rules", file)


def test_no_variable_is_left_in_an_expression() -> None:
    assert [expression for expression in expressions() if "$" in expression] == []


def test_every_metric_is_one_that_the_gateway_has() -> None:
    fed = telemetry()
    feed(fed)
    text = fed.render("")[0].decode()
    exported = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    named = {metric for expression in expressions() for metric in _METRIC.findall(expression)}
    assert len(named) > 15
    assert named - exported == set()


def test_ids_are_unique() -> None:
    ids = [panel["id"] for panel in panels()]
    assert sorted(ids) == list(range(1, len(ids) + 1))


def test_no_panel_lies_on_another_or_leaves_the_grid() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        return set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))

    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert not cells(panel) & taken, panel["title"]
        taken |= cells(panel)
    assert {x for x, _ in taken} == set(range(24))


def test_rows_are_in_the_order_of_the_questions() -> None:
    assert [panel["title"] for panel in panels() if panel["type"] == "row"] == _ROWS


def test_every_panel_says_what_it_shows_in_which_unit() -> None:
    for panel in drawn():
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]
    titles = [panel["title"] for panel in drawn()]
    assert len(titles) == len(set(titles))


def test_the_source_can_be_chosen() -> None:
    variables = {one["name"]: one for one in json.loads(DASHBOARD.read_text())["templating"]["list"]}
    assert set(variables) == {"datasource", "model", "team"}
    sources = [panel["datasource"] for panel in drawn()]
    sources += [target["datasource"] for panel in drawn() for target in panel["targets"]]
    sources += [variables[name]["datasource"] for name in ("model", "team")]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


def test_what_is_provisioned_fits_what_is_mounted() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    scraping = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["global"]
    assert source["jsonData"]["timeInterval"] == scraping["scrape_interval"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "gateway.yml").read_text())["providers"]
    compose = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())
    mounts = [mount.split(":") for mount in compose["services"]["grafana"]["volumes"]]
    assert ["./deploy/grafana/dashboards", provider["options"]["path"], "ro"] in mounts
    assert ["./deploy/grafana/provisioning", "/etc/grafana/provisioning", "ro"] in mounts
