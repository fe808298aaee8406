"""Writes the dashboard: `python deploy/grafana/generate.py`. Rows of panels in, Grafana's JSON out.

A test compares what is committed with what this makes, and asks a real Prometheus every expression.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from panels import SOURCE, Json
from rows import ROWS

TARGET = Path(__file__).parent / "dashboards" / "gateway.json"
WIDTH, HEIGHT = 24, 8  # Grafana's grid, and how much of it a panel is high
ABREAST = 4  # as many panels as can still be read beside each other


def laid_out() -> Iterator[Json]:
    """Each row's title, and below it its panels side by side; ids in reading order."""
    number, y = 0, 0
    for title, panels in ROWS.items():
        number += 1
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}  # fmt: skip
        y += 1
        for line in lines(list(panels())):
            width = WIDTH // len(line)
            for column, one in enumerate(line):
                number += 1
                yield {"id": number, **one, "gridPos": {"x": column * width, "y": y, "w": width, "h": HEIGHT}}
            y += HEIGHT


def lines(panels: list[Json]) -> list[list[Json]]:
    """As few lines as will do, and about as many panels in each."""
    count = -(-len(panels) // ABREAST)
    length = -(-len(panels) // count)
    return [panels[start : start + length] for start in range(0, len(panels), length)]


def choice(name: str) -> Json:
    """A drop-down of the values that a label has, all of them by default."""
    query = f"label_values(gateway_requests_total, {name})"
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def dashboard() -> Json:
    return {
        "uid": "openai-gateway",
        "title": "OpenAI gateway",
        "description": "Written by deploy/grafana/generate.py: change that, not this.",
        "tags": ["openai", "gateway"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                choice("model"),
                choice("team"),
            ]
        },
        "panels": list(laid_out()),
    }


def rendered() -> str:
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(rendered(), encoding="utf-8")
