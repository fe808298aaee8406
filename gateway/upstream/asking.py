"""One request over the gateway's own connections."""

from gateway.exchange import Outbound, Reply
from gateway.upstream import failures
from gateway.upstream.arrival import Arrival
from gateway.upstream.connections import Connections
from gateway.upstream.failures import Failure
from gateway.upstream.provider import Provider

# What fits: a body that is here, and an answer whose end its own head tells. The rest is aiohttp's.
METHODS = frozenset({"GET", "POST", "DELETE"})
# A kept connection may turn out dead before the first byte is written. That is the one failure after which
# the same upstream is asked again, once, on another connection.
_ATTEMPTS = (1, 2)


async def ask(provider: Provider, connections: Connections, request: Outbound, body: bytes) -> Reply:
    """As `Transport.open`. Where an idle connection is, it waits once: for the answer."""
    now = connections.loop.time()
    try:
        head = provider.heads.of(request, len(body))
    except ValueError:
        raise failures.NOT_SENT.of(provider.name) from None
    arrival = Arrival(provider, connections.loop, now)
    failure: Failure | None = None
    provider.in_flight += 1
    try:
        for _ in _ATTEMPTS:
            connection = connections.take(now) or await connections.connect()
            if isinstance(connection, Failure):
                failure = connection
                break
            if connection.ask(head, body, arrival):
                await arrival.wait()
                failure = arrival.refused(request)
                break
        else:
            failure = failures.NOT_SENT
    except BaseException:
        arrival.abandon()
        provider.in_flight -= 1
        raise
    if failure is None:
        return Reply(arrival.status, arrival.headers, arrival, arrival.close, provider.name, arrival.hand_on)
    provider.failed(failure)
    raise failure.of(provider.name)
