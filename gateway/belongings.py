"""What an answer brings into being is its client's from then on, and of a list a client sees only its own."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.errors import UpstreamProtocolError
from gateway.exchange import Exchange
from gateway.incoming import Incoming
from gateway.passing import Passing
from gateway.policy.cursor import sealed
from gateway.policy.found import Finder
from gateway.policy.ownership import Named, ends, in_path, owner_of
from gateway.runtime import Gateway


async def belong(gateway: Gateway, exchange: Exchange, answer: Incoming | Passing) -> None:
    """Called when an answer's head is known, and before the client sees any of it.

    A list is read whole and its other items are cut out. What a plain answer names is recorded when this
    returns, what a stream names as soon as it passes. Raises StoreUnavailable for a list, where nobody can
    tell whose its items are, and what reading the answer raises.
    """
    client, endpoint = exchange.client, exchange.endpoint
    assert client is not None
    if answer.status >= 400:
        return
    if ends(endpoint) and (gone := in_path(endpoint, exchange.path_args)) is not None:
        await gateway.owners.forget(gone)
    if endpoint.lists and client.ownership and isinstance(answer, Passing):
        await _show_own(gateway, exchange, answer, owner_of(client))
    finder = Finder(endpoint, exchange.facts)
    # Whoever looks after everybody's objects must not become the owner of what has just come up in them.
    if finder.idle or not (client.ownership or endpoint.creates):
        return
    body = await answer.whole(gateway.settings.server.max_answer)
    if body is None:
        read = finder.event if isinstance(answer, Incoming) else finder.feed  # whole events, or what comes
        answer.watch = _watcher(gateway, read, owner_of(client))
    named = finder.answer(body or b"", answer.reply.headers)
    if named:
        await gateway.owners.record(owner_of(client), named)


def _watcher(
    gateway: Gateway, read: Callable[[bytes], Sequence[Named]], owner: str
) -> Callable[[bytes], None]:
    def watch(data: bytes) -> None:
        named = read(data)
        if named:
            # Written before this returns to the loop: whoever asks for it next is behind it.
            gateway.tasks.spawn(gateway.owners.record(owner, named), name="record owners")

    return watch


async def _show_own(gateway: Gateway, exchange: Exchange, answer: Passing, owner: str) -> None:
    most, outbound, upstream = gateway.settings.server.max_answer, exchange.outbound, exchange.upstream
    body = await answer.whole(most)
    assert outbound is not None
    assert upstream is not None
    if body is None:
        raise UpstreamProtocolError("The upstream's answer is not the list that was asked for.")

    async def fetch(query: str) -> bytes | None:
        reply = await gateway.upstreams.open(upstream, replace(outbound, query=query))
        page = Passing(exchange.endpoint, reply)
        try:
            return await page.whole(most)
        finally:
            page.close()

    def hide(id: str) -> str:
        return sealed(gateway.secret, owner, id)

    answer.replace(await gateway.owners.page(owner, body, outbound.query, fetch, hide))
