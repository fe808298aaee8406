"""The upstream's end of a WebSocket, over aiohttp's client."""

import asyncio
from collections.abc import Callable

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, WSMsgType
from yarl import URL

from gateway.errors import UpstreamProtocolError
from gateway.exchange import ClientGone, Headers
from gateway.sockets.ends import CUT_OFF, MOST_BYTES, NO_CODE, Close, Message, Refused, sendable
from gateway.upstream import failures
from gateway.upstream.failures import Failure

_FAREWELL_SECONDS = 2.0  # for the upstream's own close frame
_MOST_REFUSAL = 2**16  # bytes of an error's body


class UpstreamSocket:
    """`sockets.ends.Socket` of an upstream. `conclude` is called once, with what broke it off or None."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, conclude: Callable[[Failure | None], None]
    ) -> None:
        self._socket = socket
        self._conclude = conclude
        self._over = False

    async def receive(self) -> Message | Close:
        message = await self._socket.receive()
        if message.type is WSMsgType.TEXT:
            return Message(message.data.encode())
        if message.type is WSMsgType.BINARY:
            return Message(message.data, text=False)
        if message.type is WSMsgType.CLOSE:
            return Close(message.data or NO_CODE, message.extra or "")
        self._end(failures.broken("cut", "broke off in the middle of a session"))
        return Close(CUT_OFF)

    async def send(self, message: Message) -> None:
        try:
            if message.text:
                await self._socket.send_frame(message.data, WSMsgType.TEXT)
            else:
                await self._socket.send_bytes(message.data)
        except ConnectionError:
            raise ClientGone from None

    async def close(self, close: Close) -> None:
        if self._over:
            return
        said = sendable(close) or (1000, b"")
        try:
            # aiohttp waits for the peer's close, however many messages come before it.
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._socket.close(code=said[0], message=said[1])
        except TimeoutError:
            pass  # it has closed the connection
        finally:
            self._end(None)

    def _end(self, failure: Failure | None) -> None:
        if not self._over:
            self._over = True
            self._conclude(failure)

    def __repr__(self) -> str:
        return f"<UpstreamSocket {'over' if self._over else 'open'}>"


async def connect(
    connector: aiohttp.BaseConnector,
    url: URL,
    headers: Headers,
    patience: float,
    conclude: Callable[[Failure | None], None],
) -> UpstreamSocket | Failure:
    """Shake hands within `patience` seconds. Raises Refused for the upstream's own error status.

    No subprotocol, extension or redirect: a middleware sees each answer before aiohttp would follow it.
    """
    # A session of its own, because middlewares belong to one; it is the socket's for as long as that lives.
    session = aiohttp.ClientSession(
        connector=connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        timeout=aiohttp.ClientTimeout(total=None),
        middlewares=(_only_an_upgrade,),
    )

    def over(failure: Failure | None) -> None:
        session.detach()
        conclude(failure)

    try:
        async with asyncio.timeout(patience):
            socket = await session.ws_connect(
                url,
                headers=headers,
                autoclose=False,
                compress=0,
                max_msg_size=MOST_BYTES + 1,
                timeout=aiohttp.ClientWSTimeout(ws_close=_FAREWELL_SECONDS),
            )
    except Refused as refused:
        session.detach()
        return failure if (failure := failures.of_status(refused.status)) is not None else _raise(refused)
    except aiohttp.WSServerHandshakeError:
        session.detach()
        return failures.broken("handshake", "did not shake hands as a WebSocket does")
    except Exception as error:
        session.detach()
        return failures.while_opening(error, begun=True)
    except BaseException:
        session.detach()
        raise
    return UpstreamSocket(socket, over)


def _raise(refused: Refused) -> Failure:
    raise refused


async def _only_an_upgrade(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    response = await handler(request)
    if response.status == 101:
        return response
    body = b""
    try:
        while len(body) < _MOST_REFUSAL and (more := await response.content.readany()):
            body += more
    except Exception:
        raise UpstreamProtocolError("The upstream broke off in the middle of a refusal.") from None
    finally:
        response.close()
    raise Refused(response.status, tuple(response.headers.items()), body)
