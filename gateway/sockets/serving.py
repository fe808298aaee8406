"""The line of a session, from its handshake to its end: what `pipeline.serve` is for a request."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway import holding
from gateway.accounts import fee, record
from gateway.clients import check_model
from gateway.errors import (
    GatewayError,
    InternalError,
    InvalidRequest,
    Unavailable,
    UpstreamAuth,
    UpstreamUnreachable,
)
from gateway.exchange import ClientGone, Exchange, Headers, Outbound, Outcome
from gateway.pipeline import DRAINED
from gateway.policy.endpoints import Charge, upstream_path
from gateway.policy.headers import to_client
from gateway.policy.identify import identities
from gateway.policy.realtime import Dialect
from gateway.policy.records import Client, Unit
from gateway.policy.tags import read_tags
from gateway.runtime import Gateway, log
from gateway.sockets.ends import FAILED, GOING_AWAY, Close, Refused, Socket
from gateway.sockets.handshake import Asked, headers_for, query_for
from gateway.sockets.metering import Metering
from gateway.sockets.reader import Reader, Unmetered
from gateway.sockets.session import Session
from gateway.stages.admit import admit
from gateway.stages.authenticate import authenticate
from gateway.stages.deliver import own_headers, refuse
from gateway.stages.forward import planned, walk
from gateway.stages.own import own
from gateway.stages.reserve import reserve

_DIALECTS: dict[str, Dialect] = {"/realtime": "realtime", "/responses": "responses"}

# Answers 101 with these headers: the client's end.
Upgrade = Callable[[Headers], Socket]


@dataclass(slots=True, eq=False)
class Served:
    """What has been opened for one session so far."""

    upstream: Socket | None = None
    session: Session | None = None


async def serve(gateway: Gateway, exchange: Exchange, asked: Asked, upgrade: Upgrade) -> None:
    """Shake hands, relay, end. Raises only CancelledError: the client has left."""
    if exchange.endpoint.charge is Charge.USAGE and exchange.endpoint.path not in _DIALECTS:
        # No event in there says what is used: what it costs has to be configured.
        exchange.endpoint = replace(exchange.endpoint, charge=Charge.FEE)
    gateway.telemetry.started(exchange)
    task = asyncio.current_task()
    assert task is not None
    gateway.serving.add(task)
    served = Served()
    try:
        await _open(gateway, exchange, asked, served)
        client = upgrade([*own_headers(exchange)])
        _begun(gateway, exchange)
        await _relay(gateway, exchange, client, served, asked)
    except Refused as refused:
        await _pass_on(exchange, refused)
    except GatewayError as error:
        await refuse(exchange, error)
    except asyncio.CancelledError as cancelled:
        if DRAINED not in cancelled.args:
            exchange.outcome = Outcome.CLIENT_GONE
            raise
        task.uncancel()
        if served.session is not None:
            exchange.outcome = Outcome.TRUNCATED
            await served.session.end(Close(GOING_AWAY, "draining"))
        else:
            await refuse(exchange, Unavailable("The gateway is shutting down.", code="draining"))
    except ClientGone as gone:
        exchange.outcome = gone.outcome
    except Exception as bug:
        # The type alone: a message may carry what the client sent.
        log.error("internal error", extra={"request_id": exchange.id, "error": type(bug).__name__})
        if served.session is not None:
            await served.session.end(Close(FAILED, "the gateway failed"))
        elif not exchange.begun:
            await refuse(exchange, InternalError(f"The gateway failed. Its log has request {exchange.id}."))
    finally:
        exchange.finished = gateway.clock.monotonic()
        gateway.serving.discard(task)
        gateway.tasks.spawn(_conclude(gateway, exchange, served), name=f"conclude {exchange.id}")


async def _open(gateway: Gateway, exchange: Exchange, asked: Asked, served: Served) -> None:
    """Everything that can be refused, before the client is told 101."""
    authenticate(gateway, exchange)
    client = exchange.client
    assert client is not None
    exchange.tags = read_tags(exchange.header_values("x-gateway-tags"), client.tags)
    if asked.model is not None:
        check_model(client, asked.model)
        exchange.path_args = {**exchange.path_args, "model": asked.model}
        exchange.sent_model = gateway.succession.sent(exchange.endpoint, asked.model, exchange.arrived)
    elif exchange.endpoint.path == "/realtime" and not asked.call and not asked.transcribes:
        raise InvalidRequest("You must provide 'model'.", code="missing_model", param="model")
    await own(gateway, exchange)
    exchange.outbound = Outbound(
        method="GET",
        path=upstream_path(exchange.endpoint, exchange.path_args),
        headers=headers_for(exchange.headers, asked, _identity(gateway, client)),
        body=b"",
        query=query_for(exchange.query, exchange.sent_model),
    )
    await admit(gateway, exchange)
    await reserve(gateway, exchange)
    served.upstream = await _connect(gateway, exchange, exchange.outbound)


def _identity(gateway: Gateway, client: Client) -> str:
    """Who is asking, as the owner wants OpenAI told; empty: not at all."""
    wishes = {"safety_identifier": gateway.settings.endpoints.safety_identifier}
    return identities(gateway.secret, wishes, client).get("safety_identifier", "")


async def _connect(gateway: Gateway, exchange: Exchange, outbound: Outbound) -> Socket:
    """The upstream's end. The next upstream is tried only while nothing was sent."""
    plan = planned(gateway, exchange)
    if exchange.endpoint.charge is Charge.FEE:
        holding.dispatch(gateway, exchange)
        exchange.dispatched = True  # and paid for, where nobody can know whether it was opened
        await asyncio.sleep(0)  # as `forward`
    asked = gateway.clock.monotonic()
    try:
        return await walk(exchange, plan, lambda name: gateway.upstreams.connect(name, outbound))
    except UpstreamUnreachable:
        exchange.dispatched = False
        raise
    except Refused as refused:
        exchange.dispatched = False
        if refused.status == 401:
            raise UpstreamAuth(exchange.upstream or "") from None
        raise
    finally:
        exchange.upstream_seconds += gateway.clock.monotonic() - asked


def _begun(gateway: Gateway, exchange: Exchange) -> None:
    exchange.begun, exchange.status = True, 101
    exchange.first_byte = gateway.clock.monotonic()


async def _relay(gateway: Gateway, exchange: Exchange, client: Socket, served: Served, asked: Asked) -> None:
    dialect = _DIALECTS.get(exchange.endpoint.path)
    upstream = served.upstream
    assert upstream is not None
    reader: Reader = Unmetered(gateway, exchange)
    if dialect is not None and exchange.endpoint.charge is Charge.USAGE:
        reader = Metering(gateway, exchange, dialect, client, upstream, blind=bool(asked.call))
    served.session = Session(gateway, exchange, client, upstream, reader)
    await served.session.run()


async def _pass_on(exchange: Exchange, refused: Refused) -> None:
    """The upstream's own refusal, as it would be for a request."""
    exchange.status = refused.status
    exchange.outcome = Outcome.UPSTREAM_ERROR
    headers = [*to_client(dict(refused.headers)), *own_headers(exchange)]
    try:
        await exchange.downstream.start(refused.status, headers, len(refused.body))
        exchange.begun = True
        await exchange.downstream.write(refused.body)
        await exchange.downstream.finish()
    except ClientGone:
        exchange.outcome = Outcome.CLIENT_GONE


async def _conclude(gateway: Gateway, exchange: Exchange, served: Served) -> None:
    """The rest of its turns, then the session's own hold and row; never cancelled by the client's leaving."""
    try:
        try:
            if served.session is not None:
                await served.session.finish()
            elif served.upstream is not None:
                await served.upstream.close(Close(GOING_AWAY))
        finally:
            await _settle(gateway, exchange)
    finally:
        gateway.telemetry.observe(exchange)


async def _settle(gateway: Gateway, exchange: Exchange) -> None:
    gateway.open_holds.pop(exchange.hold, None)
    if exchange.client is None:
        return
    exchange.cost = fee(gateway, exchange) if exchange.dispatched else 0
    exchange.priced = exchange.cost is not None
    row = record(gateway, exchange)
    if exchange.dispatched or exchange.status == 101 or exchange.outcome is Outcome.UPSTREAM_ERROR:
        spent = {Unit.TOKENS: 0, Unit.DOLLARS: exchange.cost or 0}
        await holding.settle(gateway, exchange, spent, row)
    else:
        await holding.release(gateway, exchange, row)
