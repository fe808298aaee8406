"""What goes wrong on the way to an upstream and back, translated by table into the gateway's own errors.

Messages are ours alone. What aiohttp says may quote a header, a URL or a line of the answer, so its
exception is neither repeated nor chained.
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass

import aiohttp

from gateway.errors import GatewayError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable


@dataclass(frozen=True, slots=True)
class Failure:
    """One row: the error that is raised, the outcome that is counted, and the words."""

    error: type[GatewayError]
    outcome: str
    kind: str
    message: str
    should_retry: bool | None = None
    code: str | None = None

    def of(self, upstream: str) -> GatewayError:
        """The exception, with the upstream's configured name in it and nothing else from outside."""
        return self.error(
            f"Upstream `{upstream}` {self.message}.", code=self.code, should_retry=self.should_retry
        )


def unreachable(kind: str, message: str) -> Failure:
    return Failure(UpstreamUnreachable, "unreachable", kind, message)


def broken(kind: str, message: str, should_retry: bool | None = None, code: str | None = None) -> Failure:
    return Failure(UpstreamProtocolError, "protocol_error", kind, message, should_retry, code)


NOT_SENT = unreachable("not_sent", "closed the connection before the request was sent")
CONNECT_TIMEOUT = unreachable("connect_timeout", "could not be connected to in time")
SILENT = Failure(UpstreamTimeout, "timeout", "first_byte", "did not begin to answer in time")
STALLED = Failure(UpstreamTimeout, "timeout", "idle", "stopped in the middle of its answer")
UPGRADED = broken("upgrade", "answered with an upgrade that nobody asked for")
# Followed, a redirect would carry the prompt, and with it perhaps the key, to a host that nobody configured.
REDIRECTED = broken("redirect", "redirects elsewhere, and that is not followed", code="upstream_redirect")

UNCHANGED = broken("unchanged", "answered that nothing has changed, and nobody had asked for that")

GARBAGE = broken("garbage", "sent something that is no HTTP answer")
DISCONNECTED = broken("disconnected", "closed the connection without an answer", True)
CUT = broken("cut", "broke off in the middle of its answer")

DNS = unreachable("dns", "could not be found: its name does not resolve")
CERTIFICATE = unreachable("tls", "showed a certificate that does not hold")
TLS = unreachable("tls", "could not be reached: TLS failed")
REFUSED = unreachable("connect", "could not be connected to")

# After these it is down, as far as anybody knows.
OUTCOMES = frozenset({"unreachable", "timeout", "protocol_error"})

# In each table the first row whose exception fits is the one. These happen before anything is sent.
CONNECTING: tuple[tuple[type[Exception], Failure], ...] = (
    (aiohttp.ConnectionTimeoutError, CONNECT_TIMEOUT),
    (aiohttp.ClientConnectorDNSError, DNS),
    (aiohttp.ClientConnectorCertificateError, CERTIFICATE),
    (aiohttp.ClientSSLError, TLS),
    (ssl.SSLError, TLS),
    (aiohttp.ClientConnectorError, REFUSED),
)

# The same, of a connection that the gateway makes by itself.
REACHING: tuple[tuple[type[Exception], Failure], ...] = (
    (TimeoutError, CONNECT_TIMEOUT),
    (socket.gaierror, DNS),
    (UnicodeError, DNS),  # no name that could be asked for
    (ssl.CertificateError, CERTIFICATE),
    (ssl.SSLError, TLS),
    (Exception, REFUSED),
)

# The request, or part of it, has left; nothing of an answer has come. Whether it was acted upon is unknown,
# so we do not send it again (RFC 9110 section 9.2.2). The client may decide otherwise, and is told that it
# can: mostly this is a kept connection that the upstream closed in the very moment of its reuse.
NO_HEAD: tuple[tuple[type[Exception], Failure], ...] = (
    (asyncio.TimeoutError, SILENT),
    (aiohttp.ClientResponseError, GARBAGE),
    (aiohttp.ClientConnectionError, DISCONNECTED),
    (OSError, DISCONNECTED),
    (Exception, GARBAGE),
)

IN_BODY: tuple[tuple[type[Exception], Failure], ...] = (
    (asyncio.TimeoutError, STALLED),
    (Exception, CUT),
)


def while_reaching(error: Exception) -> Failure:
    """The failure that kept a connection from coming about."""
    return first_of(REACHING, error)


def while_opening(error: Exception, begun: bool) -> Failure:
    """The failure that kept an answer from beginning. `begun`: some of the request may have been sent."""
    for kind, failure in CONNECTING:
        if isinstance(error, kind):
            return failure
    if not begun:
        return CONNECT_TIMEOUT if isinstance(error, asyncio.TimeoutError) else NOT_SENT
    return first_of(NO_HEAD, error)


def of_status(status: int, *, conditional: bool = False) -> Failure | None:
    """The failure in a head that is well-formed but no answer.

    `conditional`: it was asked whether something has changed. That is what 304 answers, which is no redirect
    (RFC 9110 section 15.4.5).
    """
    if status == 101:
        return UPGRADED
    if not 200 <= status < 600:  # RFC 9110 section 15: the first digit is one of five
        return GARBAGE
    if status == 304:
        return None if conditional else UNCHANGED
    return REDIRECTED if 300 <= status < 400 else None


def while_reading(error: Exception) -> Failure:
    """The failure that ended an answer before its end."""
    return first_of(IN_BODY, error)


def first_of(table: tuple[tuple[type[Exception], Failure], ...], error: Exception) -> Failure:
    return next(failure for kind, failure in table if isinstance(error, kind))
