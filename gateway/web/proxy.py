"""From a call to an exchange: everything that OpenAI's API has is answered by the line."""

from collections.abc import Awaitable, Callable

from gateway.errors import Unavailable
from gateway.exchange import Downstream, Exchange
from gateway.pipeline import serve
from gateway.policy.endpoints import find
from gateway.policy.websocket import is_offered
from gateway.runtime import Gateway
from gateway.web.call import Call
from gateway.web.lanehead import Head
from gateway.web.realtime import realtime

_TRY_ELSEWHERE_MS = 1000


async def proxy(gateway: Gateway, call: Call) -> None:
    """Raises UnknownUrl, MethodNotAllowed, or Unavailable while draining; the line refuses the rest."""
    started = gateway.clock.monotonic()
    forward = gateway.settings.endpoints.unknown == "forward"
    endpoint, args = find(call.method, call.path, upgrade=is_offered(call.header_values), forward=forward)
    if gateway.draining:
        raise Unavailable(
            "The gateway is shutting down. Another one may take the request.",
            code="draining",
            retry_ms=_TRY_ELSEWHERE_MS,
        )
    if endpoint.socket:
        await realtime(gateway, call, endpoint, args)
        return
    exchange = Exchange(
        id=call.id,
        endpoint=endpoint,
        path_args=args,
        headers=call.request.headers,
        header_values=call.header_values,
        peer=call.peer,
        read_body=call.body.read,
        downstream=call.downstream,
        started=started,
        arrived=gateway.clock.now(),
        stream_body=call.body.stream,
        query=call.raw_query,
    )
    await serve(gateway, exchange)


async def enter(
    gateway: Gateway,
    request_id: str,
    head: Head,
    peer: str,
    read_body: Callable[[], Awaitable[bytes]],
    downstream: Downstream,
) -> None:
    """What `proxy` does, for a request in the lane: it has its endpoint, and a body in JSON alone."""
    exchange = Exchange(
        id=request_id,
        endpoint=head.endpoint,
        path_args={},
        headers=head.headers,
        header_values=head.header_values,
        peer=peer,
        read_body=read_body,
        downstream=downstream,
        started=gateway.clock.monotonic(),
        arrived=gateway.clock.now(),
        query=head.query,
    )
    await serve(gateway, exchange)
