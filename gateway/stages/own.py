"""Does all that this request names belong to whoever asks? Other people's objects do not exist."""

from gateway.exchange import Exchange
from gateway.policy.endpoints import UNKNOWN
from gateway.policy.ownership import Named, in_path, in_query, in_segments, missing, owner_of
from gateway.policy.references import in_body, in_form
from gateway.runtime import Gateway


async def own(gateway: Gateway, exchange: Exchange) -> None:
    """Between `receive` and `ask`: not even a cached answer is given to a question about others' objects.

    Raises NotFound or PreviousResponseNotFound, as OpenAI says that there is no such thing; StoreUnavailable
    where nobody can tell.
    """
    client = exchange.client
    assert client is not None
    if not client.ownership:
        return
    if exchange.endpoint.name == UNKNOWN:
        await _unknown(gateway, exchange, owner_of(client))
    named = _named(exchange)
    if not named:
        return
    stranger = await gateway.owners.stranger(owner_of(client), named)
    if stranger is not None:
        raise missing(stranger)


async def _unknown(gateway: Gateway, exchange: Exchange, owner: str) -> None:
    """What nobody knows has no places: whatever its path names must not be known to be somebody else's."""
    named = {each.id: each for each in in_segments(exchange.endpoint)}
    for stranger in await gateway.owners.others(owner, list(named)):
        raise missing(named[stranger])


def _named(exchange: Exchange) -> list[Named]:
    """By its path first, which is what most often is somebody else's."""
    named: list[Named] = []
    if exchange.path_args and (outermost := in_path(exchange.endpoint, exchange.path_args)) is not None:
        named.append(outermost)
    if exchange.query:
        named += in_query(exchange.endpoint, exchange.query)
    if exchange.body:
        named += in_body(exchange.body)
    if exchange.upload is not None:
        named += in_form(exchange.upload.fields)
    return named
