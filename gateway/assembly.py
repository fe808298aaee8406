"""Parts of a gateway made from its settings: what `app` opens and puts together."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from gateway.alerts import Alerts, Send
from gateway.clients import ClientTable
from gateway.config import declared, upstreams_from_environment
from gateway.configuration.alertchecks import webhook_url
from gateway.configuration.ledgerchecks import sink_address
from gateway.firststart import FirstStart, welcome
from gateway.ledger.sink import Sink
from gateway.ledger.target import chosen
from gateway.policy.models import KNOWN
from gateway.policy.quota import parse_limits
from gateway.policy.windows import Calendar
from gateway.runtime import Clock, Tasks
from gateway.settings import Settings, Upstream
from gateway.store.embedded import Embedded
from gateway.store.redis import RedisStore, open_store
from gateway.telemetry import Telemetry
from gateway.upstream.local import MODEL, NAME, LocalModel
from gateway.upstream.secrets import Secret, resolve
from gateway.upstream.webhook import Webhook

Announce = Callable[[str], None]

_EMBEDDED = "embedded:"
_DATA = "./gateway-data"


def data_folder(settings: Settings) -> Path:
    """Where this process keeps what it must not lose: beside an embedded store, if nothing else is said."""
    url = settings.store.url
    beside = url.removeprefix(_EMBEDDED) if url.startswith(_EMBEDDED) else _DATA
    return Path(settings.server.data or beside)


def client_table(settings: Settings, environ: Mapping[str, str]) -> ClientTable:
    limits = parse_limits(settings.server.limits, "gateway")
    owned = settings.endpoints.ownership == "on"
    table = ClientTable(limits, settings.endpoints.allow, settings.cache.scope, ownership=owned)
    table.declare(*declared(settings, environ))
    return table


def label_models(settings: Settings) -> frozenset[str]:
    """The models that metrics may name: OpenAI's, and those that the configuration writes out."""
    models = [model for upstream in settings.upstreams for model in upstream.models]
    written = (
        *models,
        *settings.models.aliases.values(),
        *settings.models.output_caps,
        *settings.prices.models,
    )
    return KNOWN | {MODEL} | {model for model in written if "*" not in model}


async def store(
    settings: Settings, stack: contextlib.AsyncExitStack, tasks: Tasks, telemetry: Telemetry
) -> tuple[RedisStore, str]:
    """The store, and the URL that it has now. An embedded one is started."""
    url = settings.store.url
    if url.startswith(_EMBEDDED):
        embedded = await Embedded.start(Path(url.removeprefix(_EMBEDDED)), spawn=tasks.spawn)
        stack.push_async_callback(embedded.stop)
        url = embedded.url
    return await store_at(url, settings, stack, tasks, telemetry), url


async def store_at(
    url: str, settings: Settings, stack: contextlib.AsyncExitStack, tasks: Tasks, telemetry: Telemetry
) -> RedisStore:
    """The store that is at this URL, whoever has started it."""
    opened = await open_store(
        url,
        deadline=float(settings.store.deadline),
        timezone=settings.server.timezone,
        cache_url=settings.cache.url,
        max_memory=int(settings.cache.max_memory),
        max_rows=settings.ledger.max_rows,
        max_age=settings.ledger.max_age.ms,
        spawn=tasks.spawn,
        on_error=telemetry.store_error,
    )
    stack.push_async_callback(opened.close)
    return opened


def remote_upstreams(
    settings: Settings, environ: Mapping[str, str]
) -> tuple[list[Upstream], dict[str, Secret]]:
    """What is configured, or what the environment names."""
    made = settings.upstreams or upstreams_from_environment(environ)
    return made, {upstream.name: resolve(upstream.api_key, environ) for upstream in made}


async def upstreams(
    settings: Settings,
    environ: Mapping[str, str],
    local: bool,
    stack: contextlib.AsyncExitStack,
    tasks: Tasks,
    announce: Announce,
) -> tuple[list[Upstream], dict[str, Secret]]:
    """What is configured, or what the environment names; with neither, the local model."""
    made, keys = remote_upstreams(settings, environ)
    if local or not made:
        model = await LocalModel.start(announce, tasks.spawn)
        stack.push_async_callback(model.stop)
        made = [*made, model.settings]
        keys[model.settings.name] = model.secret
    return made, keys


def sink(
    settings: Settings, environ: Mapping[str, str], stack: contextlib.AsyncExitStack, data: Path
) -> Sink | None:
    """The database that the ledger goes to. One that is away is tried again, and stops nobody."""
    embedded = settings.store.url.startswith(_EMBEDDED)
    target = chosen(sink_address(settings.ledger, environ), embedded=embedded, data=data)
    if not target:
        return None
    made = Sink.of(target)
    stack.push_async_callback(made.close)
    return made


async def alerts(
    settings: Settings,
    environ: Mapping[str, str],
    stack: contextlib.AsyncExitStack,
    store: RedisStore,
    clock: Clock,
    calendar: Calendar,
    tasks: Tasks,
    telemetry: Telemetry,
) -> Alerts:
    """Who tells the webhook of budgets, if there is one; what is left when all closes gets a last chance."""
    send = await _webhook(settings, environ, stack)
    made = Alerts(
        *(settings.alerts, store.holds, store.marks, calendar, clock.now),
        *(send, tasks.spawn, telemetry.alert),
    )
    stack.push_async_callback(made.close)
    return made


async def _webhook(
    settings: Settings, environ: Mapping[str, str], stack: contextlib.AsyncExitStack
) -> Send | None:
    if not settings.alerts.url:
        return None
    secret = resolve(settings.alerts.secret, environ)
    webhook = Webhook(webhook_url(settings.alerts, environ), secret)
    await webhook.start()
    stack.push_async_callback(webhook.close)
    return webhook.send


class Ports(Protocol):
    """Where the listeners are, which tells where any free port was asked for."""

    @property
    def public_port(self) -> int: ...
    @property
    def admin_port(self) -> int: ...


def welcomer(
    announce: Announce, settings: Settings, listeners: Ports, made: list[Upstream], *, chosen: bool
) -> Callable[[FirstStart], None]:
    """Prints the first lines. `chosen`: somebody asked for the local model."""
    bound = _as_bound(settings, listeners)
    remote = [upstream for upstream in made if upstream.name != NAME]
    local = len(remote) < len(made)
    return lambda first: announce(welcome(first, bound, remote, local=local, chosen=chosen))


def _as_bound(settings: Settings, listeners: Ports) -> Settings:
    """With the ports that were got, where any free one was asked for."""
    return msgspec.structs.replace(
        settings,
        server=msgspec.structs.replace(settings.server, port=listeners.public_port),
        admin=msgspec.structs.replace(settings.admin, port=listeners.admin_port),
    )
