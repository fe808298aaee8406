"""Where alerts go: an address, or a reference to one, since it is often a secret itself."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from gateway.configuration.complaints import Complaints
from gateway.configuration.secretchecks import find_secret
from gateway.settings import Alerts
from gateway.upstream.secrets import resolve

_REFERENCES = ("env:", "file:")
_SHARES = range(1, 101)
_HTTPS = "write https://HOST/PATH, or env:NAME or file:PATH of where it is"
# Names that only a private network knows; so is one without a dot, such as a service of Docker Compose.
_PRIVATE_NAMES = (".local", ".internal", ".svc", ".localhost", ".lan", ".home.arpa")


def webhook_url(alerts: Alerts, environ: Mapping[str, str]) -> str:
    """The address; empty: there is none. Raises ValueError when it has gone since it was checked."""
    if alerts.url.startswith(_REFERENCES):
        return resolve(alerts.url, environ).reveal()
    return alerts.url


def check_alerts(alerts: Alerts, environ: Mapping[str, str], complaints: Complaints) -> None:
    """Add a complaint for what cannot be told, or not there. None quotes the address."""
    for n, share in enumerate(alerts.at):
        if share not in _SHARES:
            complaints.add(
                f"alerts.at[{n}]", f"{share} is no share of a budget", "write a percentage, 1 to 100"
            )
    if alerts.secret:
        find_secret(alerts.secret, "alerts.secret", environ, complaints)
    if not alerts.url:
        return
    if not alerts.at:
        complaints.add("alerts.at", "there is nothing to tell", "write [80, 100], or no alerts.url")
    if alerts.url.startswith(_REFERENCES):
        found = find_secret(alerts.url, "alerts.url", environ, complaints)
        if found is not None:
            _check_url(found.reveal(), complaints)
    else:
        _check_url(alerts.url, complaints)


def _check_url(url: str, complaints: Complaints) -> None:
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        complaints.add("alerts.url", "this is no http address", _HTTPS)
    elif "@" in parts.netloc:
        complaints.add("alerts.url", "there are credentials in it", "sign with alerts.secret instead")
    elif parts.scheme == "http" and not _private(parts.hostname):
        complaints.add("alerts.url", "what teams spend would be readable on its way", _HTTPS)


def _split(url: str) -> SplitResult | None:
    """The parts, when host and port can be read from them."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 and url.isascii() and url.isprintable() and " " not in url else None
    except ValueError:
        return None


def _private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_NAMES)
