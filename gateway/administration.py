"""What the process with the admin listener has beside its core: there is one in every gateway."""

import contextlib
from collections.abc import Awaitable, Callable

from gateway.assembly import Announce
from gateway.away.restoring import Restored, accept
from gateway.core import Core
from gateway.ledger.drainer import Drainer
from gateway.ledger.history import History
from gateway.ledger.sink import Sink
from gateway.ledger.verify import verify
from gateway.web.admin import Backing
from gateway.web.processes import Processes

_FAREWELL_SECONDS = 5.0  # for rows that are not in the ledger's database yet


async def _nothing() -> None:
    pass


def backing(
    core: Core,
    sink: Sink | None,
    processes: Processes | None = None,
    recall: Callable[[], Awaitable[None]] = _nothing,
) -> Backing:
    """What the admin listener shows of other rooms.

    `recall` has this process know what others have heard of budgets, before a store is accepted.
    """
    store, guard = core.store, core.guard

    async def take(without_keys: bool) -> Restored:
        await recall()
        return await accept(
            guard,
            core.gateway,
            store,
            admin_digest=core.preparing.admin_digest(),
            sink=sink,
            without_keys=without_keys,
        )

    return Backing(
        history=History(store.ledger, sink),
        verify=lambda after, most: verify(store.ledger, sink, after, most),
        accept=take,
        complaint=lambda: guard.complaint,
        processes=processes,
    )


def greet(core: Core, url: str, announce: Announce) -> None:
    """Say what the gateway waits for, if it does. `url` is the store's."""
    if not core.preparing.done:
        place = url.rpartition("@")[2]
        announce(core.guard.complaint or f"The store at {place} does not answer yet. Waiting for it.")


def end_well(core: Core, drainer: Drainer | None, stack: contextlib.AsyncExitStack) -> None:
    """When `stack` closes: first whatever requests have left behind, then the last rows, then the rest."""
    if drainer is not None:
        core.gateway.telemetry.watch_ledger(lambda: drainer.drained, lambda: drainer.lost)
    stack.push_async_callback(core.background.drain, 0)
    if drainer is not None:
        stack.push_async_callback(drainer.finish, _FAREWELL_SECONDS)
    stack.push_async_callback(core.gateway.tasks.drain, 0)
