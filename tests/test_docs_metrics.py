"""The page of the metrics is the registry: each name, its type and its labels."""

import re
from pathlib import Path

import pytest
from prometheus_client import Metric

from tests.deploy.fed import feed, telemetry

PAGE = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
ROWS = [row.strip("| ").split(" | ") for row in PAGE.splitlines() if row.startswith("| `")]
# The endings and the types that the text format gives to what the client library calls otherwise.
_ENDINGS = {"counter": "_total", "info": "_info"}
_TYPES = {"info": "gauge"}


def exported() -> dict[str, tuple[str, list[str]]]:
    """Name → type and labels, of everything that a gateway shows once it has seen everything."""
    fed = telemetry()
    fed.watch_workers(lambda: 1, lambda: 0)  # what starts the workers shows them, on the same page
    feed(fed)
    return {
        family.name + _ENDINGS.get(family.type, ""): (_TYPES.get(family.type, family.type), labels(family))
        for family in fed.registry.collect()
    }


def labels(family: Metric) -> list[str]:
    return sorted({name for sample in family.samples for name in sample.labels} - {"le"})


def test_every_metric_is_documented_as_it_is_and_no_other() -> None:
    documented = {
        name.strip("`"): (kind, sorted(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in ROWS
    }
    assert documented == exported()
    assert len(documented) == len(ROWS)


@pytest.mark.parametrize(("name", "meaning"), [(row[0], row[3]) for row in ROWS])
def test_every_metric_has_a_meaning(name: str, meaning: str) -> None:
    assert meaning.endswith((".", "…")), name
