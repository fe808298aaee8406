"""The addresses in a configuration. None is ever quoted: people put passwords and keys into them."""

from urllib.parse import SplitResult, urlsplit

from gateway.configuration.complaints import Complaints
from gateway.store.address import StoreMisconfigured, parse

_STORE_SCHEMES = ("redis", "rediss", "unix")
_UNSUPPORTED_SCHEMES = ("redis+sentinel", "redis+cluster")


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
        _check_server_url(
            url, where, "write embedded:FOLDER, redis://HOST, rediss://HOST or unix:///PATH", complaints
        )
    elif not url.removeprefix("embedded:").strip():
        complaints.add(where, "there is no folder in it", "write embedded:./gateway-data")


def check_cache_url(url: str, where: str, complaints: Complaints) -> None:
    """Where answers are kept. Empty: beside the store."""
    if url:
        hint = 'write "" (beside the store), redis://HOST, rediss://HOST or unix:///PATH'
        _check_server_url(url, where, hint, complaints)


def _check_server_url(url: str, where: str, hint: str, complaints: Complaints) -> None:
    scheme = url.partition("://")[0]
    if scheme in _UNSUPPORTED_SCHEMES:
        complaints.add(where, f"{scheme}:// is not supported", hint)
    elif scheme not in _STORE_SCHEMES or _split(url) is None:
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
