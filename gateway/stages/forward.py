"""Walk the routing plan, and try the next upstream only while nothing was sent."""

import asyncio
import contextlib
import time

from gateway.errors import StoreUnavailable, UnknownUrl, UpstreamProtocolError, UpstreamUnreachable
from gateway.exchange import Exchange, Reply
from gateway.holding import dispatch
from gateway.incoming import Incoming
from gateway.policy.entry import Entry, seal
from gateway.runtime import Gateway
from gateway.sources import Direct, Shared, Source


async def forward(gateway: Gateway, exchange: Exchange) -> Source:
    """The upstream's answer, its head known. Sets `upstream`, `dispatched` and `incoming`.

    Raises UpstreamUnreachable, UpstreamProtocolError, UpstreamTimeout.
    """
    show_extra = bool(exchange.facts and exchange.facts.include_usage)
    flight = exchange.flight
    if flight is None:
        return Direct(await _call(gateway, exchange), show_extra)
    reader = flight.enter()
    flight.launch(lambda: _call(gateway, exchange), gateway.tasks.spawn)
    try:
        incoming = await flight.head()
    except BaseException:
        flight.leave(reader)
        raise
    return Shared(incoming, show_extra, flight, reader)


async def _call(gateway: Gateway, exchange: Exchange) -> Incoming:
    began = time.perf_counter()
    try:
        reply = await _open(gateway, exchange)
        incoming = exchange.incoming = Incoming(
            exchange.endpoint,
            reply,
            max_answer=gateway.settings.server.max_answer,
            max_entry=gateway.settings.cache.max_entry,
            keep=(lambda answer: keep(gateway, exchange, answer)) if exchange.cache_key is not None else None,
        )
        try:
            _refuse_auth_failure(reply)
            await incoming.begin(asked_for_stream=bool(exchange.facts and exchange.facts.stream))
        except BaseException:
            incoming.close()
            raise
    finally:
        exchange.upstream_seconds += time.perf_counter() - began
    return incoming


async def _open(gateway: Gateway, exchange: Exchange) -> Reply:
    assert exchange.outbound is not None
    plan = gateway.upstreams.plan(exchange.sent_model)
    failure = UpstreamUnreachable(f"No upstream is configured for the model '{exchange.sent_model}'.")
    if not plan:
        raise UnknownUrl(failure.message, code="model_not_found", param="model")
    if exchange.held or exchange.endpoint.body:
        dispatch(gateway, exchange)
        # The event loop writes at the end of a turn, to its sockets in no order: a process that is killed
        # between two writes must have told the store before it asked the upstream.
        await asyncio.sleep(0)
    exchange.dispatched = True
    for name in plan:
        exchange.upstream = name
        try:
            return await gateway.upstreams.open(name, exchange.outbound)
        except UpstreamUnreachable as unreachable:
            failure = unreachable
    # Nothing was sent to any of them: nobody can have been paid.
    exchange.dispatched = False
    raise failure


def _refuse_auth_failure(reply: Reply) -> None:
    """The gateway's own key was refused: the client's key is fine, and must not be told otherwise."""
    if reply.status == 401:
        raise UpstreamProtocolError(
            f"The upstream '{reply.upstream}' refused the gateway's own key. Tell whoever runs the gateway.",
            code="upstream_auth",
            should_retry=False,
        )


def keep(gateway: Gateway, exchange: Exchange, answer: Incoming) -> None:
    """Give a complete answer to the cache, under way before the client sees the answer's end."""
    now = gateway.clock.now()
    entry = answer.entry(exchange.sent_model or "", now)
    if entry is None or gateway.answers is None or exchange.cache_key is None:
        return
    gateway.tasks.spawn(_put(gateway, exchange.cache_key, entry, now), name="keep answer")


async def _put(gateway: Gateway, key: bytes, entry: Entry, now: int) -> None:
    """In a task of its own, so that no fault in here can be the answer's."""
    assert gateway.answers is not None
    blob = seal(entry, key, gateway.secret)
    # The store counts and logs its own failures; the answer is served all the same.
    with contextlib.suppress(StoreUnavailable):
        await gateway.answers.put(key, blob, gateway.settings.cache.ttl.ms, now)
