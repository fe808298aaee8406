"""Whose key is this, may it come from here, may it use this endpoint? Only headers are read."""

from gateway.clients import check_address, check_group
from gateway.exchange import Exchange
from gateway.policy.credentials import presented_key
from gateway.runtime import Gateway


def authenticate(gateway: Gateway, exchange: Exchange) -> None:
    """Sets `client`. Raises InvalidKey, with one text for every reason, or Forbidden.

    Costs no round trip: the table is local.
    """
    presented = presented_key(exchange.header_values("authorization"), exchange.header_values("api-key"))
    client = gateway.clients.identify(presented, exchange.arrived)
    exchange.client = client
    check_address(client, exchange.peer)
    check_group(client, exchange.endpoint.group)
