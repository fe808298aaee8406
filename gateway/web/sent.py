"""What aiohttp is given when a response has been written without it."""

from aiohttp import web


class Sent(web.StreamResponse):
    """Tells aiohttp that the response has been written, and whether the connection may live on."""

    def __init__(self, keep_alive: bool) -> None:
        super().__init__()
        self._lives = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._lives

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


KEPT = Sent(keep_alive=True)
CLOSED = Sent(keep_alive=False)
