import msgspec

from gateway.policy.ledger import Row, encode
from gateway.store.base import Kept
from gateway.web.rows import COLUMNS, kept_view, recent_view
from tests.web.kept import NOON, row


def kept(text: bytes) -> Kept:
    return Kept("1790000000000-0", 7, text, "ab" * 20)


def test_a_row_shows_everything_that_is_kept() -> None:
    view = kept_view(kept(encode(row(1, tags={"site": "a"}, first_token=80, cost=1_250_000_001))))
    assert tuple(view) == COLUMNS
    assert (view["number"], view["position"], view["hash"]) == (7, "1790000000000-0", "ab" * 20)
    assert (view["time"], view["tags"]) == ("2026-11-22T12:00:00.000Z", {"site": "a"})
    assert (view["duration_ms"], view["first_token_ms"]) == (250, 80)
    assert (view["cost"], view["cost_nano"]) == (msgspec.Raw(b"1.250000001"), 1_250_000_001)
    shown = {name.removesuffix("_tokens").removesuffix("_ms") for name in COLUMNS}
    assert set(Row.__struct_fields__) <= shown


def test_a_price_that_nobody_knows_is_no_zero() -> None:
    text = encode(row(1, cost=None))
    assert (kept_view(kept(text))["cost"], kept_view(kept(text))["cost_nano"]) == (None, None)
    view = recent_view(text)
    assert view is not None
    assert view["cost"] is None


def test_of_what_cannot_be_read_the_place_is_shown() -> None:
    view = kept_view(kept(b"{"))
    assert tuple(view) == COLUMNS
    assert (view["number"], view["id"], view["cost"]) == (7, None, None)
    assert recent_view(b"{") is None


def test_a_client_sees_what_it_asked_and_paid() -> None:
    assert recent_view(encode(row(3, saved=500, cache="hit", time=NOON + 250))) == {
        "id": "request-3",
        "time": "2026-11-22T12:00:00.250Z",
        "endpoint": "chat",
        "model": "gpt-6",
        "status": 200,
        "error": None,
        "cache": "hit",
        "tokens": 15,
        "input_tokens": 10,
        "output_tokens": 5,
        "cost": msgspec.Raw(b"0.000001"),
        "saved": msgspec.Raw(b"0.0000005"),
        "duration_ms": 250,
        "correction": False,
    }
