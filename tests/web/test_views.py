import msgspec

from gateway.policy.ledger import SUMS
from gateway.policy.records import KeyRecord, Limit, Standing, TeamRecord, Unit, Window
from gateway.web.views import USED, instant, key_view, standings_view, sums_view, team_view

NOW = 1_800_000_000_000


def test_instants_are_iso_8601_in_utc() -> None:
    assert instant(0) == "1970-01-01T00:00:00.000Z"
    assert instant(NOW + 250) == "2027-01-15T08:00:00.250Z"
    assert instant(None) is None


def test_a_key_is_shown_without_its_digest() -> None:
    record = KeyRecord(id="0a1b", name="alice", digest="d" * 64, expires=NOW, created=NOW, tags={"a": "b"})
    view = key_view(record)
    assert view["id"] == "0a1b"
    assert view["expires"] == view["created"] == "2027-01-15T08:00:00.000Z"
    assert "d" * 64 not in repr(view)


def test_a_key_shows_everything_else_that_is_kept() -> None:
    assert set(key_view(KeyRecord(id="a", name="b", digest="c"))) == set(KeyRecord.__struct_fields__) - {
        "digest"
    }
    assert set(team_view(TeamRecord(name="a"))) == set(TeamRecord.__struct_fields__)


def test_a_declared_key_was_never_created() -> None:
    assert key_view(KeyRecord(id="a", name="b", digest="c", declared=True))["created"] is None


def test_where_a_rate_stands() -> None:
    limit = Limit("60 requests/minute", Unit.REQUESTS, 60, Window.MINUTE, "key:0a1b")
    assert standings_view([Standing(limit, 15, 0, 15_000)], NOW) == [
        {
            "limit": "60 requests/minute",
            "scope": "key:0a1b",
            "kind": "rate",
            "unit": "requests",
            "mode": "enforce",
            "cap_output": None,
            "estimate": "worst",
            "amount": 60,
            "used": 15,
            "left": 45,
            "resets_at": "2027-01-15T08:00:15.000Z",
        }
    ]


def test_dollars_are_shown_as_dollars() -> None:
    limit = Limit("$5/day", Unit.DOLLARS, 5 * 10**9, Window.DAY, shadow=True)
    (view,) = standings_view([Standing(limit, 1_250_000_001, 0, 1000)], NOW)
    assert view["mode"] == "shadow"
    assert b'"amount":5,"used":1.250000001,"left":3.749999999' in msgspec.json.encode(view)


def test_how_the_worst_case_is_found() -> None:
    capped = Limit("$5/day", Unit.DOLLARS, 5 * 10**9, Window.DAY, cap_output=1000)
    learned = Limit("100k tokens/day", Unit.TOKENS, 100_000, Window.DAY, learned=True)
    views = standings_view([Standing(capped, 0, 0, 0), Standing(learned, 0, 0, 0)], NOW)
    assert [(view["cap_output"], view["estimate"]) for view in views] == [(1000, "worst"), (None, "learned")]


def test_sums_have_the_names_of_a_report() -> None:
    view = sums_view(range(1, len(SUMS) + 1))
    assert tuple(view) == USED
    assert (view["requests"], view["input_tokens"], view["output_tokens"], view["tokens"]) == (1, 2, 3, 5)
    assert (view["cached_tokens"], view["reasoning_tokens"]) == (4, 5)
    assert (view["cost"], view["cost_nano"], view["saved_nano"]) == (msgspec.Raw(b"0.000000006"), 6, 7)
    assert (view["hits"], view["errors"], view["unpriced"]) == (8, 9, 10)


def test_slots_and_totals_come_back_at_no_known_time() -> None:
    slots = Limit("8 concurrent", Unit.SLOTS, 8, None)
    total = Limit("1M tokens/total", Unit.TOKENS, 10**6, Window.TOTAL)
    views = standings_view([Standing(slots, 8, 5, 5), Standing(total, 10**6, -1, -1)], NOW)
    assert [view["resets_at"] for view in views] == [None, None]
