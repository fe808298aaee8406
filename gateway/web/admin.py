"""The admin listener: keys, teams, usage and upstreams behind the admin key, and what operations asks."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import InvalidKey, StoreUnavailable
from gateway.policy.credentials import presented_key, same
from gateway.runtime import Gateway
from gateway.store.base import Store
from gateway.web.call import Call, Handler
from gateway.web.keys import KeyCalls
from gateway.web.ledger import LedgerCalls, Verify
from gateway.web.ops import Ops, healthz
from gateway.web.processes import Alone, Processes
from gateway.web.restore import Accept, StoreCalls
from gateway.web.routes import Routes
from gateway.web.teams import TeamCalls
from gateway.web.usage import UsageCalls

if TYPE_CHECKING:
    from gateway.ledger.history import History

_API = "/admin/v1/"


class InvalidAdminKey(InvalidKey):
    """The same for a missing and for a wrong one."""

    def __init__(self) -> None:
        super().__init__()
        self.message = "Incorrect admin key provided. Send it as `Authorization: Bearer ...`."


Digest = Callable[[], bytes | None]  # the admin key's SHA-256; None while it is not known


@dataclass(frozen=True, slots=True)
class Backing:
    """What the admin listener shows of other rooms: the ledger, and whether the store is to be trusted.

    `verify` checks a part of the ledger, `accept` serves from a store that was emptied, and `complaint` says
    why the store is not trusted (None: it is). `processes` are those that serve; None: this one alone.
    """

    history: "History"
    verify: Verify
    accept: Accept
    complaint: Callable[[], str | None]
    processes: Processes | None = None


def admin(gateway: Gateway, store: Store, digest: Digest, backing: Backing) -> Handler:
    processes = backing.processes or Alone(gateway)
    api = _api(gateway, store, backing, processes)
    ops = Ops(
        gateway,
        processes,
        store_up=lambda: store.up,
        prepared=lambda: gateway.clients.loaded and digest() is not None,
        complaint=backing.complaint,
    )
    plain = Routes("Unknown URL. The admin API is under /admin/v1, the OpenAI API on the public listener.")
    plain.add("/metrics", GET=ops.metrics)
    plain.add("/healthz", GET=healthz)
    plain.add("/readyz", GET=ops.readyz)

    async def handle(call: Call) -> None:
        if call.path.startswith(_API):
            authorize(call, digest())
            await api(call)
        else:
            await plain(call)

    return handle


def _api(gateway: Gateway, store: Store, backing: Backing, processes: Processes) -> Routes:
    timezone = gateway.settings.server.timezone
    keys = KeyCalls(gateway, store.keys, processes)
    teams = TeamCalls(gateway.clients, store.keys, gateway.clock, processes)
    usage = UsageCalls(store.ledger, gateway.clients, gateway.clock, timezone)
    ledger = LedgerCalls(backing.history, backing.verify, timezone)
    stored = StoreCalls(backing.accept)

    async def upstreams(call: Call) -> None:
        await call.answer_json(200, {"object": "list", "data": await processes.upstreams()})

    routes = Routes("There is no such admin call, or this version does not support it.")
    routes.add(f"{_API}keys", POST=keys.create, GET=keys.list)
    routes.add(f"{_API}keys/{{id}}", GET=keys.show, PATCH=keys.change, DELETE=keys.revoke)
    routes.add(f"{_API}teams", POST=teams.create, GET=teams.list)
    routes.add(f"{_API}teams/{{name}}", GET=teams.show, PATCH=teams.change, DELETE=teams.delete)
    routes.add(f"{_API}limits/{{id}}", GET=keys.limits)
    routes.add(f"{_API}usage", GET=usage.usage)
    routes.add(f"{_API}ledger", GET=ledger.rows)
    routes.add(f"{_API}ledger/verify", GET=ledger.verify)
    routes.add(f"{_API}store/accept", POST=stored.accept)
    routes.add(f"{_API}upstreams", GET=upstreams)
    return routes


def authorize(call: Call, digest: bytes | None) -> None:
    """Raises InvalidAdminKey, or StoreUnavailable while the admin key cannot be known."""
    try:
        presented = presented_key(call.header_values("authorization"), ())
    except InvalidKey:
        raise InvalidAdminKey from None
    if digest is None:
        raise StoreUnavailable(
            "The gateway has not read its admin key yet. Try again shortly.", retry_ms=1000
        )
    if not same(hashlib.sha256(presented).digest(), digest):
        raise InvalidAdminKey
