"""The opening handshake and the framing of WebSockets (RFC 6455), as far as aiohttp leaves them open."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import InvalidRequest

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_VERSION: Final = "13"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,1024}")  # RFC 9110 section 5.6.2

# How browsers, which cannot set headers, send theirs (OpenAI's guide to WebSocket connections).
REALTIME: Final = "realtime"
_KEY_IN_PROTOCOL: Final = "openai-insecure-api-key."
_BETA_IN_PROTOCOL: Final = {"openai-beta.realtime-v1": "realtime=v1"}


@dataclass(frozen=True, slots=True)
class Opening:
    """What a client's handshake says.

    `accept` answers its challenge, `protocol` is the subprotocol to answer with (empty: none), `keys` are API
    keys that came as subprotocols, `beta` is the value of `openai-beta` that did.
    """

    accept: str
    protocol: str = ""
    keys: tuple[str, ...] = field(default=(), repr=False)
    beta: str = ""


Values = Callable[[str], Sequence[str]]  # all values of a header, whose name is in lower case


def is_offered(values: Values) -> bool:
    """Whether the request offers to go on as a WebSocket (section 4.2.1, RFC 9110 section 7.8)."""
    upgrade = values("upgrade")
    return bool(upgrade) and "websocket" in _tokens(upgrade) and "upgrade" in _tokens(values("connection"))


def opening(values: Values) -> Opening:
    """Read the handshake (section 4.2.1) of a request that offers one.

    Raises InvalidRequest, `invalid_handshake`, for one that is wrong.
    """
    if list(values("sec-websocket-version")) != [_VERSION]:
        raise InvalidRequest(
            f"The only version of WebSockets here is {_VERSION}.",
            code="invalid_handshake",
            param="sec-websocket-version",
            headers=(("sec-websocket-version", _VERSION),),
        )
    offered = _protocols(values("sec-websocket-protocol"))
    beta = next((_BETA_IN_PROTOCOL[one] for one in offered if one in _BETA_IN_PROTOCOL), "")
    return Opening(
        accept=_accept(values("sec-websocket-key")),
        protocol=REALTIME if REALTIME in offered else "",
        keys=tuple(one.removeprefix(_KEY_IN_PROTOCOL) for one in offered if one.startswith(_KEY_IN_PROTOCOL)),
        beta=beta,
    )


def _tokens(values: Sequence[str]) -> list[str]:
    return [token.strip().lower() for value in values for token in value.split(",")]


def _protocols(values: Sequence[str]) -> list[str]:
    offered = [one.strip() for value in values for one in value.split(",")]
    if any(not _TOKEN.fullmatch(one) for one in offered) or len(set(offered)) != len(offered):
        raise InvalidRequest(
            "The subprotocols must be different tokens.",
            code="invalid_handshake",
            param="sec-websocket-protocol",
        )
    return offered


def _accept(keys: Sequence[str]) -> str:
    try:
        (key,) = keys
        if len(base64.b64decode(key, validate=True)) != 16:
            raise ValueError
    except (ValueError, binascii.Error):
        raise InvalidRequest(
            "The WebSocket key must be 16 bytes in base64.",
            code="invalid_handshake",
            param="sec-websocket-key",
        ) from None
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


class MaskCheck:
    """Walks over frames and sees whether each is masked, as a client's must be (section 5.1).

    Payloads are stepped over, so it costs a few instructions for each frame.
    """

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head = bytearray()  # of the frame that has not begun its payload
        self._left = 0  # bytes of payload and mask still to step over

    def masked(self, data: bytes) -> bool:
        """Whether all frames that begin in `data`, the next bytes of the stream, are masked."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            self._head.append(data[at])
            at += 1
            if len(self._head) == 2 and not self._head[1] & 0x80:
                return False
            self._begin()
        return True

    def _begin(self) -> None:
        head = self._head
        if len(head) < 2:
            return
        short = head[1] & 0x7F
        extra = {126: 2, 127: 8}.get(short, 0)
        if len(head) == 2 + extra:
            self._left = 4 + (int.from_bytes(head[2:]) if extra else short)
            head.clear()
