"""A session ends by the gateway's own decision; and whether its client may go on at all."""

from gateway.clients import check_group
from gateway.errors import Forbidden, GatewayError, InvalidKey
from gateway.exchange import Exchange
from gateway.policy.records import Client
from gateway.runtime import Gateway
from gateway.sockets.ends import POLICY, Close


class Over(Exception):
    """The session ends so, for both sides; `error`: why, where something was refused."""

    def __init__(self, close: Close, error: GatewayError | None = None) -> None:
        super().__init__(close.reason)
        self.close = close
        self.error = error


def client_now(gateway: Gateway, session: Exchange) -> Client:
    """Whose session this is, as the key is by now. Raises Over when it may not go on."""
    opened = session.client
    assert opened is not None
    client = gateway.clients.client(opened.id)
    expired = client is not None and client.expires is not None and gateway.clock.now() >= client.expires
    if client is None or client.digest != opened.digest or expired:
        raise Over(Close(POLICY, "the API key is not valid any more"), InvalidKey())
    try:
        check_group(client, session.endpoint.group)
    except Forbidden as error:
        raise Over(Close(POLICY, error.code), error) from None
    return client
