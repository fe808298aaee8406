"""One request to one of the listeners, as the handlers of this room get it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from gateway.errors import GatewayError, body_of, headers_of
from gateway.exchange import Headers
from gateway.web.body import RequestBody
from gateway.web.downstream import HttpDownstream
from gateway.web.response import Response


@dataclass(slots=True, eq=False)
class Call:
    """`path` is as it came on the wire: percent-encoded, without its query. `args` are taken from it."""

    id: str
    path: str
    request: web.BaseRequest = field(repr=False)
    body: RequestBody = field(repr=False)
    downstream: HttpDownstream = field(repr=False)
    args: Mapping[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def peer(self) -> str:
        """The client's address; empty on a Unix socket."""
        return self.request.remote or ""

    @property
    def query(self) -> Sequence[tuple[str, str]]:
        """The query's names and values, decoded, in order."""
        return list(self.request.query.items())

    @property
    def raw_query(self) -> str:
        """The query as it came on the wire, without its question mark."""
        return self.request.raw_path.partition("?")[2]

    def header_values(self, name: str) -> Sequence[str]:
        """Every value of a header, in order; names in any case."""
        return self.request.headers.getall(name, ())

    async def answer(
        self, status: int, body: bytes, content_type: str = "application/json", headers: Headers = ()
    ) -> None:
        """The whole response at once."""
        await _answer(self.downstream, status, body, content_type, headers)

    async def answer_json(self, status: int, body: Any) -> None:
        await self.answer(status, msgspec.json.encode(body))

    async def refuse(self, error: GatewayError) -> None:
        """The error in OpenAI's shape; a cut, where a response has begun already."""
        await refuse(self.downstream, error)


async def _answer(
    downstream: Response, status: int, body: bytes, content_type: str, headers: Headers
) -> None:
    await downstream.start(status, [("content-type", content_type), *headers], len(body))
    await downstream.write(body)
    await downstream.finish()


async def refuse(downstream: Response, error: GatewayError) -> None:
    """The error in OpenAI's shape; a cut, where a response has begun already."""
    if downstream.begun:
        downstream.abort()
        return
    if error.close:
        downstream.close_after()
    await _answer(downstream, error.status, body_of(error), "application/json", tuple(headers_of(error)))


Handler = Callable[[Call], Awaitable[None]]
