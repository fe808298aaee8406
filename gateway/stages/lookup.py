"""Is this exact question answered already, or being answered right now?"""

from gateway.accounts import cost
from gateway.entering import foresee
from gateway.errors import GatewayError, StoreUnavailable
from gateway.exchange import ClientGone, Exchange
from gateway.flights import Flight, FlightFailed, Reader
from gateway.incoming import Incoming
from gateway.policy.cachekey import cache_key, canonical, scope_of, wish
from gateway.policy.entry import Entry, unseal
from gateway.policy.facts import Facts
from gateway.policy.headers import VARY
from gateway.policy.replay import for_plain, for_stream
from gateway.runtime import Gateway
from gateway.sources import Pairs, Shared, Source, Stored


def ask(gateway: Gateway, exchange: Exchange) -> None:
    """Sets `cache_key`, `flight` where nobody is being answered who could be joined, and `entering` where
    `admit` can ask the store for everything at once.

    Where it cannot, or an answer is most likely kept, sends the question to the cache, without waiting
    (`pending`): it leaves in the same write as `admit`'s reservation, so that a hit costs one round trip, and
    nothing is worked out that only a miss needs.
    """
    wanted = _wish(gateway, exchange)
    key = exchange.cache_key = _key(gateway, exchange) if wanted != "bypass" else None
    sought = key if wanted == "use" else None
    if sought is None or not (sought in gateway.kept or gateway.flights.find(sought) is not None):
        if key is not None:
            # Whoever asks the same from now on, and finds no answer kept, waits for what becomes of this.
            exchange.flight = gateway.flights.announce(key)
        exchange.entering = foresee(gateway, exchange, sought)
    if exchange.entering is None and sought is not None and gateway.answers is not None:
        exchange.pending = gateway.answers.get(sought)


def _wish(gateway: Gateway, exchange: Exchange) -> str:
    if gateway.answers is None or exchange.facts is None or not exchange.endpoint.cacheable:
        return "bypass"
    return wish(_said(exchange, "x-gateway-cache", "cache-control"))


def _key(gateway: Gateway, exchange: Exchange) -> bytes | None:
    client = exchange.client
    assert client is not None
    question = canonical(exchange.endpoint.name, exchange.body, exchange.sent_model or "")
    if question is None:
        return None
    asked = _said(exchange, "x-gateway-cache-scope").get("x-gateway-cache-scope")
    return cache_key(
        gateway.secret,
        scope=scope_of(client.id, client.team, client.cache_scope, asked),
        upstreams=gateway.upstreams.plan(exchange.sent_model),
        endpoint=exchange.endpoint.name,
        question=question,
        vary=[*_said(exchange, *VARY).items(), *_query(exchange)],
    )


def _query(exchange: Exchange) -> list[tuple[str, str]]:
    query = exchange.outbound.query if exchange.outbound is not None else ""
    return [("?", query)] if query else []


def _said(exchange: Exchange, *names: str) -> dict[str, str]:
    """All values of these headers, several of one as a list (RFC 9110 section 5.3)."""
    return {name: ", ".join(exchange.header_values(name)) for name in names if name in exchange.headers}


async def lookup(gateway: Gateway, exchange: Exchange) -> Source | None:
    """The answer, or None: then this exchange asks, and others may read along (`flight`)."""
    key, facts = exchange.cache_key, exchange.facts
    if key is None or facts is None:
        return None
    exchange.cache = "miss"
    sought = exchange.pending is not None or exchange.kept is not None
    if sought and (stored := await _stored(gateway, exchange, facts, key)) is not None:
        if exchange.flight is not None:
            exchange.flight.abandon()
            exchange.flight = None
        gateway.kept.add(key)
        return stored
    gateway.kept.discard(key)
    if exchange.flight is not None:
        return None
    if sought:
        while (under_way := gateway.flights.find(key)) is not None:
            try:
                return await _join(gateway, exchange, facts, under_way)
            except (FlightFailed, ClientGone):
                continue  # its leader never asked: one of those who waited now leads
    exchange.flight = gateway.flights.announce(key)
    return None


async def _stored(gateway: Gateway, exchange: Exchange, facts: Facts, key: bytes) -> Stored | None:
    """A hit: the answer that is kept, as this client asked for it."""
    blob = await _blob(exchange)
    entry = unseal(blob, key, gateway.secret) if blob is not None else None
    stored = _replayed(exchange, facts, entry) if entry is not None else None
    if entry is not None and stored is not None:
        exchange.cache, exchange.upstream, exchange.usage = "hit", "cache", entry.usage
        if entry.usage is not None:
            exchange.saved = cost(gateway, exchange, entry.usage, entry.upstream) or 0
    return stored


async def _blob(exchange: Exchange) -> bytes | None:
    if exchange.pending is None:
        return exchange.kept
    try:
        return await exchange.pending
    except StoreUnavailable:
        return None  # a cache that is away is a cache that knows nothing


def _replayed(exchange: Exchange, facts: Facts, entry: Entry) -> Stored | None:
    """The entry as this client asked for it. None when that cannot be done faithfully: then it is a miss."""
    if facts.stream:
        events = for_stream(exchange.endpoint.name, entry, bool(facts.include_usage))
        return None if events is None else Stored(entry.status, _typed(entry, "stream"), events, None)
    body = for_plain(exchange.endpoint.name, entry)
    return None if body is None else Stored(entry.status, _typed(entry, "plain"), [body], len(body))


def _typed(entry: Entry, mode: str) -> Pairs:
    if entry.mode == mode:
        return list(entry.headers)
    content_type = "text/event-stream; charset=utf-8" if mode == "stream" else "application/json"
    others = [(name, value) for name, value in entry.headers if name.lower() != "content-type"]
    return [*others, ("content-type", content_type)]


async def _join(gateway: Gateway, exchange: Exchange, facts: Facts, flight: Flight) -> Source | None:
    """Read along. None when that call fails: this exchange then asks for itself, and alone.

    Raises FlightFailed or ClientGone when the call was never made, or its last reader had left.
    """
    reader = flight.enter()
    joined: Source | None = None
    try:
        incoming = await flight.head()
        if incoming.failed:
            return None
        if incoming.stream == facts.stream:
            joined = Shared(incoming, bool(facts.include_usage), flight, reader)
        else:
            joined = await _turned(gateway, exchange, facts, flight, reader)
    except GatewayError:
        return None
    finally:
        if not isinstance(joined, Shared):
            flight.leave(reader)
    if joined is not None:
        exchange.cache, exchange.upstream = "joined", incoming.reply.upstream
        exchange.joined = incoming
    return joined


async def _turned(
    gateway: Gateway, exchange: Exchange, facts: Facts, flight: Flight, reader: Reader
) -> Stored | None:
    """Asked plain of a stream, or the other way round: wait for the whole answer, then turn it."""
    async for _ in flight.pieces(reader):
        pass
    incoming: Incoming | None = flight.incoming
    entry = incoming.entry(exchange.sent_model or "", gateway.clock.now()) if incoming is not None else None
    return _replayed(exchange, facts, entry) if entry is not None else None
