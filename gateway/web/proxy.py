"""From a call to an exchange: everything that OpenAI's API has is answered by the line."""

from gateway.errors import Unavailable
from gateway.exchange import Exchange
from gateway.pipeline import serve
from gateway.policy.endpoints import find
from gateway.runtime import Gateway
from gateway.web.call import Call

_TRY_ELSEWHERE_MS = 1000


async def proxy(gateway: Gateway, call: Call) -> None:
    """Raises UnknownUrl, MethodNotAllowed, or Unavailable while draining; the line refuses the rest."""
    started = gateway.clock.monotonic()
    endpoint, args = find(call.method, call.path)
    if gateway.draining:
        raise Unavailable(
            "The gateway is shutting down. Another one may take the request.",
            code="draining",
            retry_ms=_TRY_ELSEWHERE_MS,
        )
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
    )
    await serve(gateway, exchange)
