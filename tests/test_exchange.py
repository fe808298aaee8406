"""The record of a request shows nothing that it must not, and says the worst unless told better."""

from gateway.exchange import Outbound, Outcome
from tests.exchanges import ended


def test_its_repr_shows_no_body_and_no_key() -> None:
    exchange = ended(body=b"canary", client=None)
    assert "canary" not in repr(exchange)
    assert repr(exchange).startswith("<Exchange req_1 chat.completions - 200")
    assert "canary" not in repr(Outbound("POST", "/chat/completions", (), b"canary"))


def test_what_nobody_filled_in_is_the_worst() -> None:
    whole = ended()
    fresh = type(whole)(
        id="1",
        endpoint=whole.endpoint,
        path_args={},
        headers={},
        header_values=whole.header_values,
        peer="",
        read_body=whole.read_body,
        downstream=whole.downstream,
        started=0,
        arrived=0,
    )
    assert (fresh.outcome, fresh.status, fresh.cache) == (Outcome.ABANDONED, 499, "bypass")
    assert (fresh.held, fresh.dispatched, fresh.usage) == (False, False, None)
