"""Writes the dashboard: `python deploy/grafana/generate.py`. Rows of panels in, Grafana's JSON out.

A test compares what is committed with what this makes, and asks a real Prometheus every expression.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

TARGET = Path(__file__).parent / "dashboards" / "gateway.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 24, 8  # Grafana's grid, and how much of it a panel is high

CHOSEN = 'model=~"$model",team=~"$team"'


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Events per second, all gateways together."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{where}}}[$__rate_interval]))"


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


UP = [
    {
        "type": "value",
        "options": {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}},
    }
]
NEARLY_FULL = {
    "mode": "absolute",
    "steps": [
        {"color": "green", "value": None},
        {"color": "orange", "value": 0.8},
        {"color": "red", "value": 1.0},
    ],
}


def traffic() -> Iterator[Json]:
    requests = "gateway_requests_total"
    yield panel(
        "Requests by status",
        "Requests that ended, per second. 499: the client left before it was told anything.",
        "reqps",
        (rate(requests, "status", CHOSEN), "{{status}}"),
        stacked=True,
    )
    yield panel(
        "Requests by endpoint",
        "Requests that ended, per second.",
        "reqps",
        (rate(requests, "endpoint", CHOSEN), "{{endpoint}}"),
        stacked=True,
    )
    failed, refused = (rate(requests, where=f'{CHOSEN},status=~"{status}"') for status in ("5..", "4.."))
    yield panel(
        "Errors",
        "Share of the requests that ended with a server error (5xx), or a client error (4xx, refusals too).",
        "percentunit",
        (f"({failed} or vector(0)) / {rate(requests, where=CHOSEN)}", "5xx"),
        (f"({refused} or vector(0)) / {rate(requests, where=CHOSEN)}", "4xx"),
        max=1,
    )


def latency() -> Iterator[Json]:
    yield panel(
        "Duration",
        "From the request's head to the end of its answer, streams to their last byte.",
        "s",
        *quantiles("gateway_request_duration_seconds"),
    )
    yield panel(
        "Duration by endpoint, p95",
        "The slowest twentieth of each endpoint takes longer than this.",
        "s",
        (quantile(0.95, "gateway_request_duration_seconds", "endpoint"), "{{endpoint}}"),
    )
    yield panel(
        "Time to first token",
        "From a streaming request's head to the first byte of its answer, cached answers included.",
        "s",
        *quantiles("gateway_time_to_first_token_seconds", 'model=~"$model"'),
    )
    yield panel(
        "Time to first token by model, p95",
        "The slowest twentieth of each model's streams begins later than this.",
        "s",
        (
            quantile(0.95, "gateway_time_to_first_token_seconds", "model", 'model=~"$model"'),
            "{{model}}",
        ),
    )


def tokens() -> Iterator[Json]:
    bought = f'{CHOSEN},kind=~"input|output"'
    yield panel(
        "Tokens by model",
        "Tokens bought from upstreams per second, input and output. Cached answers cost none.",
        "short",
        (rate("gateway_tokens_total", "model", bought), "{{model}}"),
        stacked=True,
    )
    yield panel(
        "Tokens by team",
        "Tokens bought from upstreams per second, input and output. Cached answers cost none.",
        "short",
        (rate("gateway_tokens_total", "team", bought), "{{team}}"),
        stacked=True,
    )
    yield panel(
        "Tokens by kind",
        "Tokens per second. Input includes what the provider had cached, output includes reasoning.",
        "short",
        (rate("gateway_tokens_total", "kind", CHOSEN), "{{kind}}"),
    )
    yield panel(
        "Where the numbers come from",
        "Charges per second: by the upstream's count, by an estimate (it never said), or at a lease's end.",
        "ops",
        (rate("gateway_settlements_total", "source"), "{{source}}"),
        stacked=True,
    )


def cache() -> Iterator[Json]:
    asked = "gateway_cache_requests_total"
    answered, all_asked = (
        rate(asked, where=f'result=~"{some}"') for some in ("hit|joined", "hit|joined|miss")
    )
    yield panel(
        "Cache",
        "Requests per second by what the cache did. joined: waited for an identical question under way.",
        "reqps",
        (rate(asked, "result"), "{{result}}"),
        stacked=True,
    )
    yield panel(
        "Share that the cache answered",
        "Hits and joined, of all requests that the cache was asked for.",
        "percentunit",
        (f"{answered} / {all_asked}", "answered"),
        max=1,
    )


def quotas() -> Iterator[Json]:
    yield panel(
        "Quota refusals by reason",
        "429 and 503 per second: a rate or concurrency limit, a budget, or a store that cannot say.",
        "reqps",
        (
            rate(
                "gateway_rejected_total",
                "reason",
                'reason=~"rate_limit_exceeded|insufficient_quota|quota_store_unavailable"',
            ),
            "{{reason}}",
        ),
    )
    yield panel(
        "All refusals by reason",
        "Errors that the gateway itself answered, per second, by the code in x-gateway-error.",
        "reqps",
        (rate("gateway_rejected_total", "reason"), "{{reason}}"),
        stacked=True,
    )
    yield gauge(
        "Limits nearest to full",
        "The ten limits that were used most when a request last met them, by key id, team or gateway.",
        "percentunit",
        ("topk(10, max by (key, limit) (gateway_limit_used_ratio))", "{{key}}: {{limit}}"),
        type="bargauge",
        max=1,
        thresholds=NEARLY_FULL,
    )


def overhead() -> Iterator[Json]:
    yield panel(
        "Overhead",
        "What the gateway added before the first byte: everything but the waiting for the upstream.",
        "s",
        *quantiles("gateway_overhead_seconds"),
    )
    yield panel(
        "Overhead by endpoint, p95",
        "The slowest twentieth of each endpoint waits longer than this for the gateway itself.",
        "s",
        (quantile(0.95, "gateway_overhead_seconds", "endpoint"), "{{endpoint}}"),
    )
    yield panel(
        "Processor",
        "Processor time per second of each gateway process: one of them uses at most one core.",
        "percentunit",
        ('rate(process_cpu_seconds_total{job="gateway"}[$__rate_interval])', "{{instance}}"),
    )
    yield panel(
        "Memory",
        "Resident memory of each gateway process.",
        "bytes",
        ('process_resident_memory_bytes{job="gateway"}', "{{instance}}"),
    )


def upstreams() -> Iterator[Json]:
    yield gauge(
        "Upstreams",
        "Down: the last call of this upstream, by any gateway, brought no answer at all.",
        "short",
        ("min by (upstream) (gateway_upstream_up)", "{{upstream}}"),
        mappings=UP,
    )
    yield panel(
        "Calls by outcome",
        "Calls of upstreams per second by how they ended.",
        "reqps",
        (rate("gateway_upstream_requests_total", "upstream, outcome"), "{{upstream}} {{outcome}}"),
        stacked=True,
    )
    yield panel(
        "Duration of model calls, p95",
        "The slowest twentieth of each model's calls takes longer (gen_ai.client.operation.duration).",
        "s",
        (
            quantile(0.95, "gen_ai_client_operation_duration_seconds", "gen_ai_request_model"),
            "{{gen_ai_request_model}}",
        ),
    )


def store() -> Iterator[Json]:
    yield gauge(
        "Store",
        "Down: a gateway's store of keys and quotas does not answer; it refuses what it cannot count.",
        "short",
        ("min(gateway_store_up)", "store"),
        mappings=UP,
    )
    yield panel(
        "Store errors by operation",
        "Calls of the store that failed, per second.",
        "ops",
        (rate("gateway_store_errors_total", "op"), "{{op}}"),
    )
    yield panel(
        "Log lines dropped",
        "Lines per second that nobody took in time, so that they were given up and not waited for.",
        "ops",
        (rate("gateway_log_dropped_total"), "dropped"),
    )


def inflight() -> Iterator[Json]:
    yield panel(
        "In flight",
        "Requests under way, and those of them that asked for a stream.",
        "short",
        ("sum by (kind) (gateway_inflight)", "{{kind}}"),
    )
    yield gauge(
        "Draining",
        "Gateways that finish what they have begun and take nothing new.",
        "short",
        ("sum(gateway_draining)", "gateways"),
    )
    yield gauge(
        "Versions",
        "Gateways by what is running.",
        "short",
        ("count by (version, python) (gateway_build_info)", "{{version}} on Python {{python}}"),
    )


ROWS = {
    "Traffic and errors": traffic,
    "Latency": latency,
    "Tokens": tokens,
    "Cache": cache,
    "Quotas and refusals": quotas,
    "The gateway's own overhead": overhead,
    "Upstreams": upstreams,
    "Store and log": store,
    "In flight": inflight,
}


def laid_out() -> Iterator[Json]:
    """Each row's title, and below it its panels side by side; ids in reading order."""
    number, y = 0, 0
    for title, panels in ROWS.items():
        number += 1
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}  # fmt: skip
        y += 1
        made = list(panels())
        width = WIDTH // len(made)
        for column, one in enumerate(made):
            number += 1
            yield {"id": number, **one, "gridPos": {"x": column * width, "y": y, "w": width, "h": HEIGHT}}
        y += HEIGHT


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
