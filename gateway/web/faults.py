"""What aiohttp's parser finds wrong with a request, as the gateway's own refusals.

Its words are never passed on: they quote the line, and with it perhaps a key.
"""

from collections.abc import Callable

from aiohttp.http_exceptions import LineTooLong

from gateway.errors import BadFraming, GatewayError, HeadersTooLarge, UriTooLong, VersionNotSupported

SPOKEN = "This gateway speaks HTTP/1.1 and HTTP/1.0."
MALFORMED = "The HTTP message is malformed."


def _has_long_target(error: BaseException) -> bool:
    # The parser gathers a target in a bytearray and header fields in bytes: its only difference.
    return isinstance(error, LineTooLong) and isinstance(error.args[0], bytearray)


def _has_long_head(error: BaseException) -> bool:
    return isinstance(error, LineTooLong) or error.args == ("Too many headers received",)


def _has_other_version(error: BaseException) -> bool:
    # What looks like a version and is none that is known; the preface of HTTP/2 (RFC 9113 section 3.4).
    said = str(getattr(error, "message", ""))
    return said.startswith(("Bad status line:\n  Invalid HTTP version:", "Pause on PRI/Upgrade:"))


# The first row that fits is the one. Where the parser's words change, what is left is a plain 400.
_FAULTS: tuple[tuple[Callable[[BaseException], bool], Callable[[], GatewayError]], ...] = (
    (_has_long_target, lambda: UriTooLong("The URL is too long.")),
    (_has_long_head, lambda: HeadersTooLarge("The header fields are too many, or one of them is too long.")),
    (_has_other_version, lambda: VersionNotSupported(SPOKEN)),
)


def fault_of(error: BaseException | None) -> GatewayError:
    """The refusal that answers it; each of them ends the connection."""
    for fits, refusal in _FAULTS:
        if error is not None and fits(error):
            return refusal()
    return BadFraming(MALFORMED)
