"""May this key use every model that its request names?"""

from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import parse_qsl

from gateway.clients import check_model
from gateway.errors import InvalidRequest
from gateway.exchange import Exchange
from gateway.policy.endpoints import Charge
from gateway.policy.inside import models_in
from gateway.policy.records import Client

# Where OpenAI chooses a model if none is named, or leaves the choice to whoever holds the secret. The others
# that cost a fee have none, or the one of what they are done with.
_CHOSEN = frozenset(
    {"videos.create", "realtime.calls.create", "realtime.calls.accept", "realtime.client_secrets.create"}
    | {"realtime.sessions.create", "live.create"}
)
_CHECKPOINT = "fine_tuned_model_checkpoint"


def authorize(client: Client, exchange: Exchange, model: str | None) -> None:
    """`model` is the one that is asked for. Others stand deeper in a body: a session's, a grader's, a tool's.

    Who may use some models alone must say which, where the upstream would choose one. Raises Forbidden, or
    InvalidRequest.
    """
    if _unrestricted(client):
        return
    if model is not None:
        check_model(client, model)
    named = list(_named(exchange))
    for each in named:
        check_model(client, each)
    if model is None and _chooses(exchange) and not named:
        raise InvalidRequest(
            "You must provide 'model': this key may not use every one.",
            code="missing_model",
            param="model",
        )


def check_named(client: Client, body: bytes) -> None:
    """Raises Forbidden where this JSON names a model that the client may not use, wherever it stands."""
    if not _unrestricted(client):
        for each in models_in(body):
            check_model(client, each)


def _unrestricted(client: Client) -> bool:
    return _all_models(client.models)


@lru_cache(maxsize=1024)
def _all_models(patterns_per_owner: tuple[tuple[str, ...], ...]) -> bool:
    return all("*" in patterns for patterns in patterns_per_owner)


def _chooses(exchange: Exchange) -> bool:
    return exchange.endpoint.charge is Charge.USAGE or exchange.endpoint.name in _CHOSEN


def _named(exchange: Exchange) -> Iterator[str]:
    """All models but the one that is asked for."""
    args = exchange.path_args
    if _CHECKPOINT in args:
        yield args[_CHECKPOINT]
    if exchange.query and not exchange.endpoint.lists:
        yield from (value for name, value in parse_qsl(exchange.query) if name == "model")
    facts = exchange.facts
    if exchange.body:
        yield from models_in(exchange.body, facts.named if facts is not None else None)
    if exchange.upload is not None:
        yield from models_in(exchange.upload.fields.get("session", "").encode(errors="replace"))
