"""Who reads along in a session, as the session sees it; and who does where nothing is counted."""

from typing import Protocol

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Exchange, Outcome
from gateway.policy.jsonbytes import parse
from gateway.policy.ownership import Named, owner_of
from gateway.runtime import Gateway
from gateway.sockets.ends import POLICY, Close, Message
from gateway.sockets.naming import check_message
from gateway.sockets.over import Over, client_now


class Reader(Protocol):
    """Every message goes through it. `outgoing` and `incoming` may raise `Over`."""

    @property
    def idle(self) -> bool:
        """Nothing is under way that would be cut by ending now."""
        ...

    async def outgoing(self, message: Message) -> Message | None:
        """What goes on to the upstream; None where the client was told no."""
        ...

    async def incoming(self, message: Message) -> None:
        """Told of each message of the upstream before the client gets it."""
        ...

    async def cancel(self) -> bool:
        """Ask the upstream to stop what is under way; whether its last words are worth waiting for."""
        ...

    def abandon(self, outcome: Outcome) -> None:
        """Nothing more will be seen of what is under way."""
        ...


class _Object(msgspec.Struct):
    id: str = ""


class _Event(msgspec.Struct):
    session: _Object = msgspec.field(default_factory=_Object)


_EVENT = msgspec.json.Decoder(_Event)


class Unmetered:
    """For what has a fee, or nothing to pay. The id of what the session creates is its client's own."""

    def __init__(self, gateway: Gateway, exchange: Exchange) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._unknown = bool(exchange.endpoint.creates)

    @property
    def idle(self) -> bool:
        return True

    async def outgoing(self, message: Message) -> Message | None:
        client = client_now(self._gateway, self._exchange)
        try:
            await check_message(self._gateway, client, message.data)
        except GatewayError as error:
            raise Over(Close(POLICY, error.code), error) from None
        return message

    async def incoming(self, message: Message) -> None:
        if not self._unknown:
            return
        event, client = parse(_EVENT, message.data), self._exchange.client
        if event is not None and event.session.id and client is not None:
            made = Named(self._exchange.endpoint.creates, event.session.id)
            await self._gateway.owners.record(owner_of(client), [made])
            self._unknown = False

    async def cancel(self) -> bool:
        return False

    def abandon(self, outcome: Outcome) -> None:
        return None
