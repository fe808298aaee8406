"""What a dashboard is made of: questions to Prometheus, and panels that show the answers."""

from typing import Any

Json = dict[str, Any]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}

CHOSEN = 'model=~"$model",team=~"$team"'


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Events per second, all gateways together."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{where}}}[$__rate_interval]))"


def per_hour(metric: str, by: str, where: str = "") -> str:
    return f"{rate(metric, by, where)} * 3600"


def in_range(metric: str, by: str = "", where: str = "") -> str:
    """How many in the time that is shown, all gateways together."""
    return f"sum{f' by ({by})' if by else ''} (increase({metric}{{{where}}}[$__range]))"


def quantile(share: float, histogram: str, by: str = "", where: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(histogram + '_bucket', labels, where)})"


def quantiles(histogram: str, where: str = "") -> list[tuple[str, str]]:
    """The middle, the slow twentieth and the slow hundredth."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return [(quantile(share, histogram, where=where), name) for name, share in shares.items()]


def panel(title: str, description: str, unit: str, *targets: tuple[str, str], **more: Any) -> Json:
    """A panel over time. A target is an expression and its legend; `more` goes into the field defaults."""
    stacked = more.pop("stacked", False)
    return {
        "type": more.pop("type", "timeseries"),
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "min": 0,
                "custom": {
                    "fillOpacity": 20 if stacked else 5,
                    "stacking": {"mode": "normal" if stacked else "none"},
                },
                **more,
            },
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
            for index, (expr, legend) in enumerate(targets)
        ],
    }


def gauge(title: str, description: str, unit: str, *targets: tuple[str, str], **more: Any) -> Json:
    """A panel of the values as they are now."""
    made = panel(title, description, unit, *targets, type=more.pop("type", "stat"), **more)
    del made["fieldConfig"]["defaults"]["custom"]
    made["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "orientation": "auto"}
    for target in made["targets"]:
        target["instant"] = True
    return made
