"""From a call to a session: the client's handshake, and its end of the WebSocket."""

from collections.abc import Mapping, Sequence

from aiohttp import hdrs

from gateway.errors import InvalidRequest
from gateway.exchange import Exchange, Headers
from gateway.policy.endpoints import Endpoint
from gateway.policy.websocket import Opening, opening
from gateway.runtime import Gateway
from gateway.sockets.ends import Socket
from gateway.sockets.handshake import asked_for
from gateway.sockets.serving import serve
from gateway.web.call import Call
from gateway.web.websocket import ClientSocket


async def realtime(gateway: Gateway, call: Call, endpoint: Endpoint, args: Mapping[str, str]) -> None:
    """Serve a WebSocket. Raises InvalidRequest for a handshake that is none; the session refuses the rest."""
    started = gateway.clock.monotonic()
    # Whatever follows an upgrade that was refused is not HTTP any more.
    call.downstream.close_after()
    shaken = opening(call.header_values)
    if not call.request.content.is_eof() or (call.request.content_length or 0) > 0:
        raise InvalidRequest("A WebSocket's handshake has no body.", code="invalid_handshake")
    query = call.raw_query
    exchange = Exchange(
        id=call.id,
        endpoint=endpoint,
        path_args=args,
        headers=call.request.headers,
        header_values=lambda name: _values(call, shaken, name),
        peer=call.peer,
        read_body=call.body.read,
        downstream=call.downstream,
        started=started,
        arrived=gateway.clock.now(),
        query=query,
    )

    def upgrade(headers: Headers) -> Socket:
        call.downstream.begun = call.downstream.ended = True
        patience = gateway.settings.server.write_timeout
        return ClientSocket.upgrade(call.request, call.id, headers, _framing(shaken), patience)

    await serve(gateway, exchange, asked_for(query, shaken.beta), upgrade)


def _values(call: Call, shaken: Opening, name: str) -> Sequence[str]:
    """A header's values; a key that came as a subprotocol counts as one in `authorization`."""
    values = call.header_values(name)
    if name.lower() != "authorization":
        return values
    return [*values, *(f"Bearer {key}" for key in shaken.keys)]


def _framing(shaken: Opening) -> list[str]:
    lines = [
        f"{hdrs.UPGRADE}: websocket",
        f"{hdrs.CONNECTION}: Upgrade",
        f"{hdrs.SEC_WEBSOCKET_ACCEPT}: {shaken.accept}",
    ]
    if shaken.protocol:
        lines.append(f"{hdrs.SEC_WEBSOCKET_PROTOCOL}: {shaken.protocol}")
    return lines
