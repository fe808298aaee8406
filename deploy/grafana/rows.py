"""The rows of the dashboard, in the order in which one asks."""

from collections.abc import Iterator

from panels import CHOSEN, Json, gauge, in_range, panel, per_hour, quantile, quantiles, rate

UP = [
    {
        "type": "value",
        "options": {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}},
    }
]
LOST = [
    {
        "type": "value",
        "options": {"0": {"text": "known", "color": "green"}, "1": {"text": "lost", "color": "red"}},
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


# Of the limits' texts, those of budgets: what is counted by the day or longer.
BUDGETS = 'limit=~".*/(day|week|month|total).*"'


def money() -> Iterator[Json]:
    cost = "gateway_cost_dollars_total"
    yield panel(
        "Spend by team",
        "US dollars charged per hour.",
        "currencyUSD",
        (per_hour(cost, "team", CHOSEN), "{{team}}"),
        stacked=True,
    )
    yield panel(
        "Spend by model",
        "US dollars charged per hour.",
        "currencyUSD",
        (per_hour(cost, "model", CHOSEN), "{{model}}"),
        stacked=True,
    )
    yield gauge(
        "Charged and saved",
        "US dollars in the time shown: charged for upstreams, and what cached answers would have cost.",
        "currencyUSD",
        (in_range(cost, where=CHOSEN), "charged"),
        (in_range("gateway_saved_dollars_total", where='team=~"$team"'), "saved"),
    )
    yield gauge(
        "Spend by team in the time shown",
        "The ten teams that were charged most, in US dollars.",
        "currencyUSD",
        (f"topk(10, {in_range(cost, 'team', CHOSEN)})", "{{team}}"),
        type="bargauge",
    )
    yield gauge(
        "Budgets nearest to their end",
        "The ten budgets that were used most when a request last met them, open reservations included.",
        "percentunit",
        (f"topk(10, max by (key, limit) (gateway_limit_used_ratio{{{BUDGETS}}}))", "{{key}}: {{limit}}"),
        type="bargauge",
        max=1,
        thresholds=NEARLY_FULL,
    )
    yield panel(
        "Shadow refusals",
        "Requests per second that a limit in shadow mode would have refused, had it been enforced.",
        "reqps",
        (rate("gateway_shadow_refusals_total", "limit"), "{{limit}}"),
    )
    yield panel(
        "Overrun",
        "US dollars per hour charged above what had been reserved, and taken back after a lease's charge.",
        "currencyUSD",
        (per_hour("gateway_overrun_dollars_total", ""), "overrun"),
        (per_hour("gateway_refunded_dollars_total", ""), "taken back"),
    )
    yield panel(
        "Where the numbers come from",
        "Charges per second: by the upstream's count, by an estimate (it never said), or at a lease's end.",
        "ops",
        (rate("gateway_settlements_total", "source"), "{{source}}"),
        stacked=True,
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
    yield gauge(
        "Counters",
        "Lost: the store came back empty, or is another one. Gateways refuse money until it is settled.",
        "short",
        ("max(gateway_store_reset)", "counters"),
        mappings=LOST,
    )
    yield panel(
        "Store errors by operation",
        "Calls of the store that failed, per second.",
        "ops",
        (rate("gateway_store_errors_total", "op"), "{{op}}"),
    )
    yield panel(
        "Admitted by the local share",
        "Requests per second that a gateway admitted by itself, because the store was away.",
        "reqps",
        (rate("gateway_shared_requests_total"), "admitted"),
    )
    yield panel(
        "Open reservations",
        "Holds that have not ended, of each gateway process. More than requests in flight is a leak.",
        "short",
        ("gateway_reservations_open", "{{instance}}"),
        stacked=True,
    )
    yield panel(
        "Journal",
        "Settlements on disk that wait for the store.",
        "short",
        ("gateway_journal_entries", "{{instance}}"),
        stacked=True,
    )
    yield panel(
        "Journal replayed",
        "Settlements per second that the store was told of later.",
        "ops",
        (rate("gateway_journal_replayed_total"), "replayed"),
    )
    yield panel(
        "Ledger rows",
        "Rows per second written to the sink, and those that the store had let go of before.",
        "ops",
        (rate("gateway_ledger_drained_total"), "drained"),
        (rate("gateway_ledger_lost_total"), "lost"),
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
    yield panel(
        "Log lines dropped",
        "Lines per second that nobody took in time, so that they were given up and not waited for.",
        "ops",
        (rate("gateway_log_dropped_total"), "dropped"),
    )
    yield panel(
        "Notices of budgets",
        "What was told to the webhook per second, by what became of it.",
        "ops",
        (rate("gateway_alerts_total", "outcome"), "{{outcome}}"),
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
    "Money": money,
    "Cache": cache,
    "Quotas and refusals": quotas,
    "The gateway's own overhead": overhead,
    "Upstreams": upstreams,
    "Store": store,
    "In flight": inflight,
}
