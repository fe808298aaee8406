"""A gateway without its listeners: what each process of one has, whatever it is for."""

import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway import assembly
from gateway.away.epoch import EpochGuard
from gateway.away.journal import Journal
from gateway.away.remembered import Remembered
from gateway.away.share import LocalShare
from gateway.clients import ClientTable
from gateway.configuration.processes import processes
from gateway.flights import Flights
from gateway.learned import Learned
from gateway.owners import Ownership
from gateway.policy.windows import Calendar
from gateway.preparation import Preparation
from gateway.pricing.book import PriceBook
from gateway.runtime import Clock, Gateway, Tasks
from gateway.settings import Away, Settings, Upstream
from gateway.store.redis import RedisStore
from gateway.succession import Succession
from gateway.telemetry import Telemetry
from gateway.tokens import TokenCounter
from gateway.upstream.secrets import Secret
from gateway.upstream.transport import Transport

_SECRET_BYTES = 32


@dataclass(slots=True)
class Given:
    """What a gateway is made of before anything of it is open.

    Workers are forked with it: files and variables that change later are the same for all of them.
    """

    settings: Settings
    environ: Mapping[str, str] = field(repr=False)
    clients: ClientTable
    models: frozenset[str]  # that metrics may name
    tokens: TokenCounter

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str]) -> "Given":
        """Raises ValueError for a secret that has gone since the settings were checked."""
        clients = assembly.client_table(settings, environ)
        return cls(settings, environ, clients, assembly.label_models(settings), TokenCounter())

    @property
    def data(self) -> Path:
        return assembly.data_folder(self.settings)

    def telemetry(self) -> Telemetry:
        return Telemetry(self.models, lambda name: self.clients.team(name) is not None)


@dataclass(slots=True)
class Core:
    """What is open. `tasks` are those of requests, `background` those beside them."""

    gateway: Gateway
    store: RedisStore
    guard: EpochGuard
    preparing: Preparation
    background: Tasks


async def open_core(
    given: Given,
    store: RedisStore,
    remembered: Remembered,
    upstreams: tuple[list[Upstream], dict[str, Secret]],
    stack: contextlib.AsyncExitStack,
    background: Tasks,
    telemetry: Telemetry,
    *,
    makes_keys: bool,
    on_outcome: Callable[[str, str], None] | None = None,
) -> Core:
    """`makes_keys`: this process makes the first keys, where there are none yet.

    `on_outcome` is told how calls of upstreams end; by default the telemetry is.
    """
    settings = given.settings
    guard = EpochGuard(store, remembered)
    journal = Journal.open(given.data / "journal")
    stack.callback(journal.close)
    outcome = on_outcome or telemetry.upstream_outcome
    transport = Transport(*upstreams, outcome, own_client=settings.server.own_client)
    await transport.start()
    stack.push_async_callback(transport.close)
    clock, calendar = Clock(), Calendar(settings.server.timezone)

    def trusted() -> bool:
        return store.up and guard.complaint is None

    owners = Ownership(store.owners, background.spawn, trusted)
    stack.push_async_callback(owners.close)
    gateway = Gateway(
        settings=settings,
        clients=given.clients,
        holds=store.holds,
        answers=store.answers if settings.cache.enabled else None,
        flights=Flights(settings.cache.max_entry, settings.server.usage_wait),
        upstreams=transport,
        tokens=given.tokens,
        telemetry=telemetry,
        tasks=Tasks(),
        clock=clock,
        calendar=calendar,
        prices=PriceBook(settings.prices, upstreams[0]),
        learned=Learned(),
        share=LocalShare(_shared(settings), settings.server.timezone),
        journal=journal,
        alerts=await assembly.alerts(
            settings, given.environ, stack, store, clock, calendar, background, telemetry
        ),
        trusts_store=trusted,
        owners=owners,
        succession=Succession(settings.models, given.models),
        secret=secrets.token_bytes(_SECRET_BYTES),
        known_models=given.models,
    )
    _watch(gateway, store, guard)
    preparing = Preparation(gateway, store, given.environ, guard, makes_keys=makes_keys)
    return Core(gateway, store, guard, preparing, background)


def _shared(settings: Settings) -> Away:
    """With the number of processes among which limits are divided while the store is away."""
    replicas = max(settings.away.replicas, processes(settings.server))
    return msgspec.structs.replace(settings.away, replicas=replicas)


def _watch(gateway: Gateway, store: RedisStore, guard: EpochGuard) -> None:
    telemetry = gateway.telemetry
    telemetry.watch_store(lambda: store.up)
    telemetry.watch_reset(lambda: guard.complaint is not None)
    telemetry.watch_endings(lambda: gateway.succession.time_left(gateway.clock.now()))
    telemetry.watch_reservations(lambda: len(gateway.open_holds))
    telemetry.watch_journal(lambda: len(gateway.journal), lambda: gateway.journal.replayed)
