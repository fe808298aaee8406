import json
import logging
import os
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidKey, QuotaExceeded, UnknownUrl
from gateway.exchange import Outcome
from gateway.observability.logs import WriterHandler
from gateway.observability.logwriter import LogWriter
from gateway.policy.ledger import Row, encode
from gateway.policy.records import Limit, Standing, Unit, Usage, Window
from gateway.telemetry import Telemetry
from tests.exchanges import MODEL, asking, ended

# `make proof` asks for the whole million.
_MANY = 1_000_000 if os.environ.get("GATEWAY_PROOF") else 20_000


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry({MODEL}, {"research"}.__contains__, clock=lambda: 102.0)


def lease(**changes: Any) -> bytes:
    """The row of a request whose gateway died."""
    return encode(Row(id="req_9", time=0, key="ab12cd", endpoint="responses", **changes))


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


def series(telemetry: Telemetry) -> int:
    text = telemetry.render("")[0].decode()
    return sum(not line.startswith("#") for line in text.splitlines())


def test_counts_a_request_under_all_of_its_labels(telemetry: Telemetry) -> None:
    telemetry.observe(ended())
    labels = {"endpoint": "chat.completions", "model": MODEL, "team": "research"}
    assert value(telemetry, "gateway_requests_total", **labels, status="200", cache="miss") == 1


def test_times_the_whole_and_the_gateways_own_share(telemetry: Telemetry) -> None:
    telemetry.observe(ended(facts=asking(stream=True)))
    endpoint = {"endpoint": "chat.completions"}
    assert value(telemetry, "gateway_request_duration_seconds_sum", **endpoint) == 2.0
    # Up to the first byte, less the waiting for the upstream: a long stream is no overhead.
    assert value(telemetry, "gateway_overhead_seconds_sum", **endpoint) == 0.25
    first = value(telemetry, "gateway_time_to_first_token_seconds_sum", **endpoint, model=MODEL)
    assert first == 1.75


def test_an_answer_that_was_no_stream_has_no_first_token(telemetry: Telemetry) -> None:
    telemetry.observe(ended())
    assert b"gateway_time_to_first_token_seconds_count{" not in telemetry.render("")[0]


def test_who_joined_anothers_call_adds_nothing_to_the_overhead(telemetry: Telemetry) -> None:
    telemetry.observe(ended(cache="joined", dispatched=False, upstream_seconds=0.0))
    assert b"gateway_overhead_seconds_count{" not in telemetry.render("")[0]


def test_counts_the_tokens_that_were_bought(telemetry: Telemetry) -> None:
    telemetry.observe(ended())
    for kind, count in {"input": 7, "output": 5, "cached": 3, "reasoning": 2}.items():
        assert value(telemetry, "gateway_tokens_total", model=MODEL, team="research", kind=kind) == count
    assert value(telemetry, "gateway_settlements_total", source="usage") == 1


def test_a_hit_buys_no_tokens(telemetry: Telemetry) -> None:
    telemetry.observe(ended(cache="hit", dispatched=False))
    text = telemetry.render("")[0]
    assert b"gateway_tokens_total{" not in text
    assert b"gen_ai_client_token_usage_count{" not in text
    assert value(telemetry, "gateway_cache_requests_total", result="hit") == 1


def test_an_estimate_is_told_from_usage_and_from_a_lease_that_ran_out(telemetry: Telemetry) -> None:
    telemetry.observe(ended(usage=Usage(input=4, output=1, estimated=True)))
    telemetry.expired([lease(), b"", lease(), b""])  # the others had reserved, and spent nothing
    sources = {
        source: value(telemetry, "gateway_settlements_total", source=source)
        for source in ("usage", "estimate", "lease")
    }
    assert sources == {"usage": 0, "estimate": 1, "lease": 2}


def test_charges_what_the_row_of_a_lease_says_under_names_that_are_known(telemetry: Telemetry) -> None:
    row = {"cost": 1_000_000_007, "input": 40, "output_audio": 9}
    telemetry.expired([lease(team="research", model="alias", sent=MODEL, **row)])
    telemetry.expired([lease(team="gone", model="invented", **row)])
    known, unknown = {"model": MODEL, "team": "research"}, {"model": "other", "team": "other"}
    for labels in (known, unknown):
        assert value(telemetry, "gateway_cost_dollars_total", **labels) == 1.000000007
        assert value(telemetry, "gateway_tokens_total", **labels, kind="input") == 40
        assert value(telemetry, "gateway_tokens_total", **labels, kind="output_audio") == 9


@pytest.mark.parametrize("row", [b"{}", b"no JSON", b'{"id": "\xff"}'])
def test_a_row_that_cannot_be_read_is_a_lease_all_the_same(telemetry: Telemetry, row: bytes) -> None:
    telemetry.expired([row])
    assert value(telemetry, "gateway_settlements_total", source="lease") == 1


def test_the_books_agree_when_a_request_outlives_its_lease(telemetry: Telemetry) -> None:
    telemetry.expired([lease(team="research", model=MODEL, cost=500)])
    telemetry.refunded(500)
    telemetry.observe(ended(cost=123))
    charged = value(telemetry, "gateway_cost_dollars_total", model=MODEL, team="research")
    refunded = value(telemetry, "gateway_refunded_dollars_total")
    assert charged is not None
    assert refunded is not None
    assert round((charged - refunded) * 1e9) == 123


def test_counts_the_rarer_kinds_of_tokens_where_there_are_any(telemetry: Telemetry) -> None:
    telemetry.observe(ended())
    labels = {"model": MODEL, "team": "research"}
    rare = ("cache_write", "input_audio", "output_audio", "input_image", "output_image")
    assert [value(telemetry, "gateway_tokens_total", **labels, kind=kind) for kind in rare] == [None] * 5
    usage = Usage(input=20, cache_write=1, input_audio=2, output_audio=3, input_image=4, output_image=5)
    telemetry.observe(ended(usage=usage))
    assert [value(telemetry, "gateway_tokens_total", **labels, kind=kind) for kind in rare] == [1, 2, 3, 4, 5]


def test_counts_what_a_shadow_would_have_refused_and_what_the_share_admitted(telemetry: Telemetry) -> None:
    telemetry.observe(ended(shadowed=("$5/day",), shared=True))
    telemetry.observe(ended())
    assert value(telemetry, "gateway_shadow_refusals_total", limit="$5/day") == 1
    assert value(telemetry, "gateway_shared_requests_total") == 1


def test_limits_without_end_do_not_fill_the_page(telemetry: Telemetry) -> None:
    for number in range(2000):
        telemetry.observe(ended(shadowed=(f"${number}/day",)))
    assert value(telemetry, "gateway_shadow_refusals_total", limit="other") == 1000


def test_counts_notices_by_what_became_of_them(telemetry: Telemetry) -> None:
    telemetry.alert("sent")
    outcomes = {
        one: value(telemetry, "gateway_alerts_total", outcome=one) for one in ("sent", "refused", "failed")
    }
    assert outcomes == {"sent": 1, "refused": 0, "failed": 0}


def test_counts_a_refusal_by_its_code_and_not_as_a_question_to_the_cache(telemetry: Telemetry) -> None:
    telemetry.observe(
        ended(
            client=None,
            facts=None,
            sent_model=None,
            cache="bypass",
            dispatched=False,
            status=401,
            outcome=Outcome.REFUSED,
            error=InvalidKey(),
        )
    )
    assert value(telemetry, "gateway_rejected_total", reason="invalid_api_key") == 1
    assert value(telemetry, "gateway_cache_requests_total", result="bypass") == 0
    labels = {"endpoint": "chat.completions", "model": "none", "team": "none", "cache": "bypass"}
    assert value(telemetry, "gateway_requests_total", **labels, status="401") == 1


def test_counts_a_request_that_never_became_an_exchange(telemetry: Telemetry) -> None:
    telemetry.refused(UnknownUrl("Unknown URL"))
    assert value(telemetry, "gateway_rejected_total", reason="unknown_url") == 1
    labels = {"endpoint": "other", "model": "none", "team": "none", "cache": "bypass"}
    assert value(telemetry, "gateway_requests_total", **labels, status="404") == 1


def test_knows_what_is_in_flight(telemetry: Telemetry) -> None:
    plain, stream = ended(finished=None), ended(finished=None, facts=asking(stream=True))
    telemetry.started(plain)
    telemetry.started(stream)
    assert value(telemetry, "gateway_inflight", kind="requests") == 2
    assert value(telemetry, "gateway_inflight", kind="streams") == 1
    stream.finished = 102.0  # answered, and not settled yet
    assert value(telemetry, "gateway_inflight", kind="requests") == 1
    assert value(telemetry, "gateway_inflight", kind="streams") == 0
    telemetry.observe(stream)
    telemetry.observe(plain)
    assert value(telemetry, "gateway_inflight", kind="requests") == 0
    assert repr(telemetry) == "<Telemetry 0 live, 0 limits met>"


def test_an_upstream_is_up_while_it_answers_whatever_it_answers(telemetry: Telemetry) -> None:
    telemetry.upstream_outcome("openai", "server_error")
    assert value(telemetry, "gateway_upstream_up", upstream="openai") == 1
    telemetry.upstream_outcome("openai", "unreachable")
    assert value(telemetry, "gateway_upstream_up", upstream="openai") == 0
    telemetry.upstream_outcome("openai", "ok")
    assert value(telemetry, "gateway_upstream_up", upstream="openai") == 1
    labels = {"upstream": "openai", "outcome": "unreachable"}
    assert value(telemetry, "gateway_upstream_requests_total", **labels) == 1


def test_shows_the_store_the_drain_and_the_log(telemetry: Telemetry) -> None:
    telemetry.store_error("reserve")
    telemetry.watch_store(lambda: False)
    telemetry.draining(True)
    telemetry.watch_log(lambda: 9)
    assert value(telemetry, "gateway_store_errors_total", op="reserve") == 1
    assert value(telemetry, "gateway_store_up") == 0
    assert value(telemetry, "gateway_draining") == 1
    assert value(telemetry, "gateway_log_dropped_total") == 9


def test_shows_how_much_of_a_limit_is_used(telemetry: Telemetry) -> None:
    limit = Limit("60 requests/minute", Unit.REQUESTS, 60, Window.MINUTE, "key:ab12cd")
    telemetry.observe(ended(standings=(Standing(limit, used=15, retry_ms=0, reset_ms=15_000),)))
    ratio = value(telemetry, "gateway_limit_used_ratio", key="ab12cd", limit="60 requests/minute")
    assert ratio == 0.25


@pytest.mark.timeout(600)
def test_invented_names_add_no_series(telemetry: Telemetry) -> None:
    def ask(model: str, status: int) -> None:
        telemetry.observe(ended(facts=asking(model), sent_model=model, status=status))

    logging.getLogger("gateway").setLevel(logging.ERROR)
    try:
        ask("invented", 200)
        ask("invented", 999)
        before = series(telemetry)
        for number in range(_MANY):
            ask(f"gpt-invented-{number}\n", 200)
            ask("invented", 1000 + number)
        assert series(telemetry) == before
    finally:
        logging.getLogger("gateway").setLevel(logging.NOTSET)


def test_a_team_that_is_not_known_is_other(telemetry: Telemetry) -> None:
    exchange = ended()
    telemetry_of_nobody = Telemetry({MODEL}, lambda name: False)
    telemetry_of_nobody.observe(exchange)
    labels = {"model": MODEL, "team": "other", "kind": "input"}
    assert value(telemetry_of_nobody, "gateway_tokens_total", **labels) == 7


def test_counters_of_closed_sets_start_at_zero(telemetry: Telemetry) -> None:
    assert value(telemetry, "gateway_rejected_total", reason=QuotaExceeded.code) == 0
    assert value(telemetry, "gateway_store_errors_total", op="reserve") == 0


def test_says_what_is_running(telemetry: Telemetry) -> None:
    assert re.search(rb'^gateway_build_info\{.*version="0\.', telemetry.render("")[0], re.MULTILINE)


def test_speaks_openmetrics_to_those_who_ask_for_it(telemetry: Telemetry) -> None:
    text, content_type = telemetry.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith(b"# EOF\n")
    plain, content_type = telemetry.render("*/*")
    assert content_type.startswith("text/plain; version=0.0.4")
    assert b"# EOF" not in plain


@given(
    st.text()
    | st.text("0123456789.,;= x").map(lambda version: f"application/openmetrics-text; version={version}")
)
def test_renders_whatever_accept_says(accept: str) -> None:
    text, content_type = Telemetry().render(accept)
    assert b"gateway_build_info" in text
    assert content_type.isprintable()


def test_leaves_one_line_in_the_log(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gateway.access"):
        telemetry.observe(ended())
    (record,) = caplog.records
    assert record.name == "gateway.access"
    assert json.loads(json.dumps(record.__dict__["line"]))["request_id"] == "req_1"


def test_one_request_that_cannot_be_counted_costs_no_other_its_line(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    odd = ended(id="req_2", usage=object())
    with caplog.at_level(logging.INFO, "gateway"):
        telemetry._tell([(odd, 102.0), (ended(), 102.0)])
    failed, line = caplog.records
    assert (failed.__dict__["request_id"], failed.levelname) == ("req_2", "ERROR")
    assert line.__dict__["line"]["request_id"] == "req_1"


async def test_nobody_who_reads_can_tell_that_requests_are_counted_together(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(lambda data: None)
    handler = WriterHandler(writer)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    labels = {"endpoint": "chat.completions", "model": MODEL, "team": "research"}
    for number in range(1, 40):
        telemetry.observe(ended())
        assert value(telemetry, "gateway_requests_total", **labels, status="200", cache="miss") == number
        assert value(telemetry, "gateway_inflight", kind="requests") == 0
    handler.close()


async def test_whoever_ends_while_the_gateway_drains_has_its_line_at_once(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = bytearray()
    writer = LogWriter(said.extend)
    handler = WriterHandler(writer)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    monkeypatch.setattr(logging.getLogger("gateway.access"), "isEnabledFor", lambda level: True)
    telemetry.observe(ended(id="req_1"))
    telemetry.draining(True)
    telemetry.observe(ended(id="req_2"))
    handler.close()
    assert [json.loads(line)["request_id"] for line in said.splitlines()] == ["req_1", "req_2"]
