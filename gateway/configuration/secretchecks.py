"""The references to secrets in a configuration: that each leads to one, and that the keys are usable.

No complaint quotes a secret, nor a reference that might be one by mistake.
"""

import re
from collections.abc import Iterator, Mapping

from gateway.configuration.complaints import Complaints
from gateway.settings import Settings
from gateway.upstream.secrets import LATER, Secret, resolve

ADMIN_VARIABLE = "GATEWAY_ADMIN_KEY"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCHEMES = ("env", "file", *LATER)
_SUPPORTED = "put the key into the environment or a file, and write env:NAME or file:PATH here"
_KEY_LENGTHS = range(16, 513)  # longer ones are not accepted from clients


def admin_reference(settings: Settings, environ: Mapping[str, str]) -> str:
    """Where the admin key is; empty when one is to be made at the first start.

    GATEWAY_ADMIN_KEY need not be named to be used, and need not be set when it is.
    """
    named = settings.admin.key or f"env:{ADMIN_VARIABLE}"
    if named == f"env:{ADMIN_VARIABLE}" and not environ.get(ADMIN_VARIABLE):
        return ""
    return named


def check_secrets(settings: Settings, environ: Mapping[str, str], complaints: Complaints) -> None:
    """Add a complaint for each reference that leads nowhere, and each key that is short or not unique."""
    for n, upstream in enumerate(settings.upstreams):
        if upstream.api_key:
            find_secret(upstream.api_key, f"upstreams[{n}].api_key", environ, complaints)
    owners: dict[str, str] = {}
    for where, reference in _keys(settings, environ):
        secret = find_secret(reference, where, environ, complaints)
        if secret is None:
            continue
        if len(secret.reveal()) not in _KEY_LENGTHS:
            complaints.add(where, "the key is too short or too long", "make one of 16 to 512 characters")
        elif (owner := owners.setdefault(secret.reveal(), where)) != where:
            complaints.add(where, f"this is the same key as {owner}", "give each client its own")


def _keys(settings: Settings, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each place that holds a key of this gateway, and the reference there."""
    if reference := admin_reference(settings, environ):
        yield "admin.key", reference
    for n, key in enumerate(settings.keys):
        yield f"keys[{n}].secret", key.secret


def find_secret(
    reference: str, where: str, environ: Mapping[str, str], complaints: Complaints
) -> Secret | None:
    """The secret that is referred to at `where`; None, and a complaint, where there is none."""
    scheme, _, place = reference.partition(":")
    if scheme not in _SCHEMES:
        # `resolve` would say so too, but what is written here is a secret: it goes no further.
        complaints.add(where, "this is no reference to a secret", _SUPPORTED)
        return None
    if scheme == "env" and not _VARIABLE.fullmatch(place):
        complaints.add(where, "what follows env: is no name of a variable", _SUPPORTED)
        return None
    try:
        return resolve(reference, environ)
    except ValueError as error:
        complaints.add(where, str(error), "" if scheme in LATER else _SUPPORTED)
        return None
