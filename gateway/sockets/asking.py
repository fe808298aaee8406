"""A client's `response.create`, as a turn: what may be asked, what is sent, what is held for it."""

from dataclasses import replace
from typing import Any

import msgspec

from gateway.clients import check_model
from gateway.errors import InvalidRequest, UnknownUrl
from gateway.exchange import Exchange
from gateway.policy.endpoints import TABLE, Endpoint
from gateway.policy.facts import read
from gateway.policy.jsonbytes import parse
from gateway.policy.members import members
from gateway.policy.realtime import Event, models_in, transcribers_in
from gateway.policy.records import Client, Unit
from gateway.runtime import Gateway
from gateway.stages.address import address

# What a `response.create` on a WebSocket of the Responses API is: the body of this operation.
RESPONSES: Endpoint = next(row for row in TABLE if row.name == "responses")
_MODELS_BELOW = (("audio", "input", "transcription"), ("input_audio_transcription",))
_ANY = msgspec.json.Decoder(Any)


def fresh(gateway: Gateway, session: Exchange, number: int, client: Client, endpoint: Endpoint) -> Exchange:
    """The record of the session's next turn."""
    return Exchange(
        id=f"{session.id}.{number}",
        endpoint=endpoint,
        path_args={},
        headers=session.headers,
        header_values=session.header_values,
        peer=session.peer,
        read_body=session.read_body,
        downstream=session.downstream,
        started=gateway.clock.monotonic(),
        arrived=gateway.clock.now(),
        client=client,
        tags=session.tags,
        upstream=session.upstream,
    )


def read_request(gateway: Gateway, exchange: Exchange, data: bytes) -> bytes:
    """What is sent for a request to make a response: what would be sent for a POST with this body.

    Sets `body`, `facts`, and what `address` does. Raises Forbidden, InvalidRequest, UnknownUrl.
    """
    exchange.body, exchange.facts = data, read(RESPONSES, data)
    address(gateway, exchange)
    # The session stays with the upstream that it was opened at.
    if exchange.upstream not in gateway.upstreams.plan(exchange.sent_model):
        raise UnknownUrl(
            f"The model '{exchange.facts.model}' is not served where this session is connected to.",
            code="model_not_found",
            param="model",
        )
    assert exchange.outbound is not None
    assert isinstance(exchange.outbound.body, bytes)
    exchange.facts = replace(exchange.facts, stream=True)
    return exchange.outbound.body


def check_update(gateway: Gateway, session: Exchange, client: Client, data: bytes, event: Event) -> None:
    """May this client have its session changed so? Raises Forbidden, or InvalidRequest."""
    _check_names(data)
    wanted = parse(_ANY, event.session)  # of what cannot be read the upstream has words
    for model in models_in(wanted):
        check_model(client, model)
    for model in transcribers_in(wanted):
        if (
            _counts_dollars(client)
            and gateway.prices.find(session.upstream or "", model, gateway.clock.now()) is None
        ):
            raise InvalidRequest(
                f"The price of the model '{model}' is not known, and a limit in dollars holds here.",
                code="model_not_priced",
                param="session.audio.input.transcription.model",
            )


def _counts_dollars(client: Client) -> bool:
    return any(limit.unit is Unit.DOLLARS and not limit.shadow for limit in client.limits)


def _check_names(data: bytes) -> None:
    """No name twice on the way to a model: readers differ in which of the two they believe."""
    for path in _MODELS_BELOW:
        document = data
        for name in ("session", *path):
            span = members(document, "session.").get(name)
            if span is None or not document.startswith(b"{", span[0]):
                break
            document = document[span[0] : span[1]]
        else:
            members(document, "session.")
