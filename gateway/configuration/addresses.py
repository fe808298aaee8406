"""The addresses in a configuration. None is ever quoted: people put passwords and keys into them."""

from urllib.parse import SplitResult, urlsplit

from gateway.configuration.complaints import Complaints
from gateway.store.address import SCHEMES, StoreMisconfigured, parse

_SERVERS = (
    "redis://HOST, rediss://HOST, unix:///PATH, redis+sentinel://HOST,HOST/NAME or redis+cluster://HOST,HOST"
)


def check_base_url(url: str, where: str, complaints: Complaints) -> None:
    """An upstream: http or https, with neither credentials nor a query."""
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        complaints.add(where, "this is no http address", "write https://HOST/v1")
    elif "@" in parts.netloc:
        complaints.add(where, "there are credentials in it", "write them as api_key, by reference")
    elif "?" in url or "#" in url:
        complaints.add(where, "there is a query or a fragment in it", "write scheme, host and path alone")


def check_store_url(url: str, where: str, complaints: Complaints) -> None:
    """Where keys and quotas are kept."""
    if not url.startswith("embedded:"):
        _check_server_url(url, where, f"write embedded:FOLDER, {_SERVERS}", complaints)
    elif not url.removeprefix("embedded:").strip():
        complaints.add(where, "there is no folder in it", "write embedded:./gateway-data")


def check_cache_url(url: str, where: str, complaints: Complaints) -> None:
    """Where answers are kept. Empty: beside the store."""
    if url:
        _check_server_url(url, where, f'write "" (beside the store), {_SERVERS}', complaints)


def _check_server_url(url: str, where: str, hint: str, complaints: Complaints) -> None:
    if url.partition("://")[0] not in SCHEMES or " " in url:
        complaints.add(where, "this is no address of a Redis or Valkey server", hint)
    else:
        try:
            parse(url)
        except StoreMisconfigured as error:
            complaints.add(where, str(error), hint)


def _split(url: str) -> SplitResult | None:
    """The parts, when host and port can be read from them."""
    try:
        parts = urlsplit(url)
        return None if " " in url or parts.port == 0 else parts
    except ValueError:
        return None
