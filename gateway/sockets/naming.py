"""What a client's message names: nobody else's objects, and no model that its key may not use."""

from gateway.modelrights import check_named
from gateway.policy.ownership import missing, owner_of
from gateway.policy.records import Client
from gateway.policy.references import in_body
from gateway.runtime import Gateway


async def check_message(gateway: Gateway, client: Client, data: bytes) -> None:
    """Raises NotFound, Forbidden, InvalidRequest; StoreUnavailable where nobody can tell whose it is."""
    check_named(client, data)
    named = in_body(data) if client.ownership else []
    if named and (stranger := await gateway.owners.stranger(owner_of(client), named)) is not None:
        raise missing(stranger)
