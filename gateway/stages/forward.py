"""Walk the routing plan, and try the next upstream only while nothing was sent."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from gateway.belongings import belong
from gateway.errors import StoreUnavailable, UnknownUrl, UpstreamAuth, UpstreamUnreachable
from gateway.exchange import Exchange, Reply
from gateway.holding import dispatch
from gateway.incoming import Incoming
from gateway.passing import Passing
from gateway.policy.entry import Entry, seal
from gateway.runtime import Gateway
from gateway.sources import Direct, Shared, Source

_T = TypeVar("_T")


async def forward(gateway: Gateway, exchange: Exchange) -> Source:
    """The upstream's answer, its head known. Sets `upstream`, `dispatched` and `incoming`.

    Raises UpstreamUnreachable, UpstreamProtocolError, UpstreamTimeout.
    """
    show_extra = bool(exchange.facts and exchange.facts.include_usage)
    flight = exchange.flight
    if flight is None:
        return Direct(await _call(gateway, exchange), show_extra)
    reader = flight.enter()
    flight.launch(lambda: _judged(gateway, exchange), gateway.tasks.spawn)
    try:
        incoming = await flight.head()
    except BaseException:
        flight.leave(reader)
        raise
    return Shared(incoming, show_extra, flight, reader)


async def _judged(gateway: Gateway, exchange: Exchange) -> Incoming:
    """Only what is judged is cached, and only what is cached is shared."""
    answer = await _call(gateway, exchange)
    assert isinstance(answer, Incoming)
    return answer


async def _call(gateway: Gateway, exchange: Exchange) -> Incoming | Passing:
    began = time.perf_counter()
    try:
        reply = await _open(gateway, exchange)
        answer = exchange.incoming = _answer(gateway, exchange, reply)
        try:
            if reply.status == 401:
                raise UpstreamAuth(reply.upstream)
            if isinstance(answer, Incoming):
                await answer.begin(asked_for_stream=bool(exchange.facts and exchange.facts.stream))
            await belong(gateway, exchange, answer)
            if exchange.endpoint.path.startswith("/models"):
                await _learn(gateway, answer)
        except BaseException:
            answer.close()
            raise
    finally:
        exchange.upstream_seconds += time.perf_counter() - began
    return answer


async def _learn(gateway: Gateway, answer: Incoming | Passing) -> None:
    """The shutdown dates that a list of models states."""
    if isinstance(answer, Incoming):
        body = await answer.whole(gateway.settings.server.max_answer)
        if body is not None:
            gateway.succession.learn(body)


def _answer(gateway: Gateway, exchange: Exchange, reply: Reply) -> Incoming | Passing:
    if not exchange.endpoint.judged:
        return Passing(exchange.endpoint, reply)
    return Incoming(
        exchange.endpoint,
        reply,
        max_answer=gateway.settings.server.max_answer,
        max_entry=gateway.settings.cache.max_entry,
        keep=None
        if exchange.cache_key is None
        else partial(keep, gateway, exchange.cache_key, exchange.sent_model),
    )


async def _open(gateway: Gateway, exchange: Exchange) -> Reply:
    outbound, plan = exchange.outbound, planned(gateway, exchange)
    assert outbound is not None
    if not exchange.entered and (exchange.held or exchange.endpoint.method != "GET"):
        dispatch(gateway, exchange)
        # The event loop writes at the end of a turn, to its sockets in no order: a process that is killed
        # between two writes must have told the store before it asked the upstream.
        await asyncio.sleep(0)
    exchange.dispatched = True
    try:
        return await walk(exchange, plan, lambda name: gateway.upstreams.open(name, outbound))
    except UpstreamUnreachable:
        # Nothing was sent to any of them: nobody can have been paid.
        exchange.dispatched = False
        raise


def planned(gateway: Gateway, exchange: Exchange) -> Sequence[str]:
    """The upstreams to try, best first, and at least one. Raises UnknownUrl where nobody serves the model."""
    plan = gateway.upstreams.plan(exchange.sent_model)
    if not plan:
        message = (
            f"No upstream is configured for the model '{exchange.sent_model}': `models` of [[upstreams]] say "
            "which they serve."
        )
        raise UnknownUrl(message, code="model_not_found", param="model")
    return plan


async def walk(exchange: Exchange, plan: Sequence[str], ask: Callable[[str], Awaitable[_T]]) -> _T:
    """What the first of them answers to which anything can be sent. Sets `upstream`.

    Raises what `ask` does; UpstreamUnreachable when nothing could be sent to any.
    """
    *others, last = plan
    for name in others:
        exchange.upstream = name
        with contextlib.suppress(UpstreamUnreachable):
            return await ask(name)
    exchange.upstream = last
    return await ask(last)


def keep(gateway: Gateway, key: bytes, model: str | None, answer: Incoming) -> None:
    """Give a complete answer to the cache, under way before the client sees the answer's end.

    It knows no exchange: an answer that knew who asked for it would be garbage in a cycle.
    """
    now = gateway.clock.now()
    entry = answer.entry(model or "", now)
    if entry is not None:
        gateway.tasks.begin(_put(gateway, key, entry, now), name="keep answer")


async def _put(gateway: Gateway, key: bytes, entry: Entry, now: int) -> None:
    """Work of its own, so that no fault in here can be the answer's."""
    if gateway.answers is None:
        return
    blob = seal(entry, key, gateway.secret)
    # The store counts and logs its own failures; the answer is served all the same.
    with contextlib.suppress(StoreUnavailable):
        await gateway.answers.put(key, blob, gateway.settings.cache.ttl.ms, now)
