"""A key that may use some models is asked about each that its request names."""

import pytest

from gateway.errors import Forbidden, InvalidRequest
from gateway.modelrights import authorize, check_named
from gateway.policy.records import Client
from tests.exchanges import ended

SOME = Client(id="k", name="k", digest=b"", team=None, models=(("gpt-4o*",), ("*",)))
ANY = Client(id="k", name="k", digest=b"", team=None, models=(("*",), ("*",)))


@pytest.mark.parametrize(
    ("endpoint", "changes"),
    [
        ("realtime.client_secrets.create", {"body": b'{"session":{"model":"gpt-realtime"}}'}),
        ("fine_tuning.checkpoints.permissions.list", {"path_args": {"fine_tuned_model_checkpoint": "ft:x"}}),
        ("realtime.calls.create", {"query": "model=gpt-realtime"}),
        ("realtime.calls.create", {"query": "%6dodel=gpt-realtime"}),
    ],
)
def test_a_model_counts_wherever_it_stands(endpoint: str, changes: dict[str, object]) -> None:
    exchange = ended(endpoint, facts=None, **changes)
    authorize(ANY, exchange, None)
    with pytest.raises(Forbidden):
        authorize(SOME, exchange, None)


@pytest.mark.parametrize(
    "endpoint", ["videos.create", "realtime.client_secrets.create", "responses", "live.create"]
)
def test_where_the_upstream_chooses_one_it_has_to_be_named(endpoint: str) -> None:
    exchange = ended(endpoint, facts=None)
    authorize(ANY, exchange, None)
    authorize(SOME, exchange, "gpt-4o-mini")
    with pytest.raises(InvalidRequest):
        authorize(SOME, exchange, None)


def test_a_list_may_be_asked_for_any_model() -> None:
    authorize(SOME, ended("chat.completions.list", facts=None, query="model=gpt-5"), None)
    authorize(SOME, ended("containers.create", facts=None), None)


def test_events() -> None:
    check_named(ANY, b'{"session":{"model":"gpt-5"}}')
    check_named(SOME, b'{"session":{"model":"gpt-4o-realtime"}}')
    with pytest.raises(Forbidden):
        check_named(SOME, b'{"session":{"model":"gpt-5"}}')
