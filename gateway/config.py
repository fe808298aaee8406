"""The configuration: read from `gateway.toml` and the environment, checked, with every complaint at once."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gateway.configuration.addresses import check_base_url
from gateway.configuration.checks import check, expiry
from gateway.configuration.complaints import Complaints, ConfigError
from gateway.configuration.conversion import convert
from gateway.configuration.document import overlay, read
from gateway.policy.records import KeyRecord, TeamRecord
from gateway.settings import Key, Settings, Team, Upstream
from gateway.upstream.secrets import resolve

__all__ = ["ConfigError", "complaints", "declared", "find", "load", "upstreams_from_environment"]

DEFAULT_PATH = Path("gateway.toml")
OPENAI_URL = "https://api.openai.com/v1"


def find(given: Path | None) -> Path | None:
    """The file to use: the one given, or else `./gateway.toml` if there is one."""
    return given or (DEFAULT_PATH if DEFAULT_PATH.exists() else None)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The file (None: none), overlaid by the environment. Raises ConfigError with every complaint."""
    settings, found = _examine(path, environ)
    if found:
        raise ConfigError(list(found))
    return settings


def complaints(path: Path | None, environ: Mapping[str, str]) -> list[str]:
    """Everything that is wrong, one sentence each: where, what, and what to write. Starts nothing."""
    return list(_examine(path, environ)[1])


def upstreams_from_environment(environ: Mapping[str, str]) -> list[Upstream]:
    """The upstream that OpenAI's own variables name, for a configuration without `[[upstreams]]`.

    OPENAI_BASE_URL alone is a server that asks for no key. Without either there is none.
    """
    url, key = environ.get("OPENAI_BASE_URL"), environ.get("OPENAI_API_KEY")
    if not url and not key:
        return []
    reference = "env:OPENAI_API_KEY" if key else ""
    return [Upstream(name="openai", base_url=(url or OPENAI_URL).rstrip("/"), api_key=reference)]


def declared(settings: Settings, environ: Mapping[str, str]) -> tuple[list[KeyRecord], list[TeamRecord]]:
    """The clients that the configuration declares, as the store would keep them. Their id is their name.

    Raises ValueError when a secret has gone since the settings were checked.
    """
    return [_key(key, environ) for key in settings.keys], [_team(team) for team in settings.teams]


def _examine(path: Path | None, environ: Mapping[str, str]) -> tuple[Settings, Complaints]:
    found = Complaints()
    document = read(path, found) if path is not None else {}
    overlay(document, environ, found)
    settings = convert(document, found)
    for upstream in settings.upstreams:
        upstream.base_url = upstream.base_url.rstrip("/")
    check(settings, environ, found)
    if not settings.upstreams:
        for upstream in upstreams_from_environment(environ):
            check_base_url(upstream.base_url, "OPENAI_BASE_URL", found)
    return settings, found


def _key(key: Key, environ: Mapping[str, str]) -> KeyRecord:
    secret = resolve(key.secret, environ).reveal()
    return KeyRecord(
        id=key.name,
        name=key.name,
        digest=hashlib.sha256(secret.encode()).hexdigest(),
        team=key.team,
        limits=key.limits,
        models=key.models,
        endpoints=key.endpoints,
        addresses=key.addresses,
        expires=expiry(key.expires) if key.expires else None,
        cache_scope=key.cache_scope,
        tags=key.tags,
        ownership=key.ownership,
        declared=True,
    )


def _team(team: Team) -> TeamRecord:
    return TeamRecord(
        name=team.name, limits=team.limits, models=team.models, endpoints=team.endpoints, declared=True
    )
