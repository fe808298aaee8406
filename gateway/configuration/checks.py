"""What a configuration must satisfy beyond its types. What is not supported is refused, never ignored."""

import re
import zoneinfo
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gateway.configuration.addresses import check_base_url, check_cache_url, check_store_url
from gateway.configuration.alertchecks import check_alerts
from gateway.configuration.awaychecks import check_away
from gateway.configuration.complaints import Complaints
from gateway.configuration.endpointchecks import check_endpoints
from gateway.configuration.ledgerchecks import check_ledger
from gateway.configuration.pricechecks import check_prices
from gateway.configuration.processes import MOST
from gateway.configuration.secretchecks import check_secrets
from gateway.policy.credentials import parse_network
from gateway.policy.quota import parse_limit
from gateway.settings import Cache, Key, LimitText, Models, Server, Settings, Store, Team, Upstream

# Names stand in URLs, log lines, metric labels and store keys.
_NAME = re.compile(r"\w[\w .@+-]{0,63}")
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104
_PORTS = range(2**16)  # 0: any free one


def check(settings: Settings, environ: Mapping[str, str], complaints: Complaints) -> None:
    """Add a complaint for everything in `settings` that cannot be served."""
    _listeners(settings, complaints)
    _server(settings.server, complaints)
    _store(settings.store, complaints)
    check_away(settings, complaints)
    _cache(settings.cache, complaints)
    _models(settings.models, complaints)
    check_endpoints(settings, complaints)
    _unique([upstream.name for upstream in settings.upstreams], "upstreams", complaints)
    for n, upstream in enumerate(settings.upstreams):
        _upstream(upstream, f"upstreams[{n}]", complaints)
    _unique([team.name for team in settings.teams], "teams", complaints)
    for n, team in enumerate(settings.teams):
        _team(team, f"teams[{n}]", complaints)
    _unique([key.name for key in settings.keys], "keys", complaints)
    for n, key in enumerate(settings.keys):
        _key(key, f"keys[{n}]", settings.teams, complaints)
    check_prices(settings, complaints)
    check_ledger(settings.ledger, environ, complaints)
    check_alerts(settings.alerts, environ, complaints)
    check_secrets(settings, environ, complaints)


def expiry(text: str) -> int:
    """When a key expires, in ms since the epoch, from ISO 8601. Without an offset it is UTC. ValueError."""
    when = datetime.fromisoformat(text)
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _listeners(settings: Settings, complaints: Complaints) -> None:
    server, admin = settings.server, settings.admin
    for where, port in (("server.port", server.port), ("admin.port", admin.port)):
        if port not in _PORTS:
            complaints.add(
                where, f"{port} is no port", "write a number from 1 to 65535, or 0 for any free port"
            )
    for where, host in (("server.host", server.host), ("admin.host", admin.host)):
        if not host:
            complaints.add(where, "this is empty", "write an address, such as 127.0.0.1 or 0.0.0.0")
    same_host = server.host == admin.host or server.host in _EVERYWHERE or admin.host in _EVERYWHERE
    if server.port == admin.port != 0 and same_host:
        complaints.add("admin.port", "this is the public listener's port too", "write another port")


def _server(server: Server, complaints: Complaints) -> None:
    if not 0 <= server.workers <= MOST:
        complaints.add(
            "server.workers",
            f"{server.workers} is no number of processes",
            f"write 1 to {MOST}, or 0 for one per core",
        )
    _limits(server.limits, "gateway", "server", complaints)
    try:
        known = server.timezone == "UTC" or bool(zoneinfo.ZoneInfo(server.timezone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = False
    if not known:
        complaints.add(
            "server.timezone", "there is no such time zone", "write one such as Europe/Paris or UTC"
        )


def _store(store: Store, complaints: Complaints) -> None:
    if store.lease < 1:
        complaints.add("store.lease", "this is too short to renew in time", "write 1s or more")
    check_store_url(store.url, "store.url", complaints)


def _cache(cache: Cache, complaints: Complaints) -> None:
    check_cache_url(cache.url, "cache.url", complaints)
    if cache.max_entry > cache.max_memory:
        complaints.add("cache.max_entry", "one entry is larger than cache.max_memory", "write a smaller size")


def _models(models: Models, complaints: Complaints) -> None:
    for name, target in models.aliases.items():
        if not name or not target:
            complaints.add("models.aliases", "a model's name in it is empty", 'write "alias" = "model"')
    for name, cap in models.output_caps.items():
        if cap < 1:
            complaints.add("models.output_caps", f"{name!r} has {cap}", "write the greatest number of tokens")


def _upstream(upstream: Upstream, where: str, complaints: Complaints) -> None:
    _name(upstream.name, where, complaints)
    if upstream.name == "local":
        complaints.add(f"{where}.name", "that is what the local model is called", "write another name")
    if upstream.name == "cache":
        complaints.add(
            f"{where}.name", "x-gateway-upstream says that of cached answers", "write another name"
        )
    check_base_url(upstream.base_url, f"{where}.base_url", complaints)
    _patterns(upstream.models, where, complaints)
    if upstream.weight < 1:
        complaints.add(f"{where}.weight", f"{upstream.weight} is no weight", "write 1 or more")
    if upstream.priority < 0:
        complaints.add(f"{where}.priority", f"{upstream.priority} is no priority", "write 0 or more")


def _team(team: Team, where: str, complaints: Complaints) -> None:
    _name(team.name, where, complaints)
    _limits(team.limits, f"team:{team.name}", where, complaints)
    _patterns(team.models, where, complaints)


def _key(key: Key, where: str, teams: Sequence[Team], complaints: Complaints) -> None:
    _name(key.name, where, complaints)
    if key.team is not None and key.team not in {team.name for team in teams}:
        complaints.add(f"{where}.team", f"there is no team {key.team!r}", "declare it under [[teams]]")
    _limits(key.limits, f"key:{key.name}", where, complaints)
    _patterns(key.models, where, complaints)
    for n, address in enumerate(key.addresses):
        try:
            parse_network(address)
        except ValueError as error:
            complaints.add(f"{where}.addresses[{n}]", str(error))
    try:
        expiry(key.expires or "2000-01-01")
    except (ValueError, OverflowError):
        complaints.add(f"{where}.expires", "this is no date", "write 2030-12-31 or 2030-12-31T18:00:00Z")


def _limits(texts: Sequence[LimitText], scope: str, where: str, complaints: Complaints) -> None:
    seen: dict[str, int] = {}
    for n, text in enumerate(texts):
        place = f"{where}.limits[{n}]"
        try:
            limit = parse_limit(text, scope)
        except ValueError as error:
            complaints.add(place, str(error))
            continue
        if (first := seen.setdefault(limit.id, n)) != n:
            complaints.add(place, f"it counts the same as limits[{first}]", "keep one of the two")


def _name(name: str, where: str, complaints: Complaints) -> None:
    if not _NAME.fullmatch(name):
        complaints.add(
            f"{where}.name",
            "this is no name",
            "write 1 to 64 letters, digits, spaces and . _ @ + -, a letter or digit first",
        )


def _unique(names: Sequence[str], where: str, complaints: Complaints) -> None:
    for n, name in enumerate(names):
        if (first := names.index(name)) != n:
            complaints.add(f"{where}[{n}].name", f"{where}[{first}] has that name", "write another")


def _patterns(models: Sequence[str], where: str, complaints: Complaints) -> None:
    for n, pattern in enumerate(models):
        if not pattern:
            complaints.add(f"{where}.models[{n}]", "this is empty", 'write a model or a pattern: "gpt-*"')
