"""One address, several listening sockets: the kernel deals connections out among them (SO_REUSEPORT)."""

import socket

from gateway.web.listen import BACKLOG, bind


class SharedPort:
    """The public address, this gateway's for as long as this object is open, and no other's.

    SO_REUSEPORT alone would let a second gateway in. So the first socket is bound without it, which fails if
    anybody else is there, and takes part afterwards. A guard that never listens keeps the port also while no
    worker lives: it has no SO_REUSEADDR, so nobody without SO_REUSEPORT gets past it.
    """

    def __init__(self, first: socket.socket) -> None:
        self._first: socket.socket | None = first
        self.family = first.family
        self.address: tuple[str, int] = first.getsockname()[:2]
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            self._guard = _bound(self.family, self.address)
        except OSError:
            first.close()
            raise
        self._guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    @classmethod
    def open(cls, host: str, port: int) -> "SharedPort":
        """Raises OSError in words, as `web.listen.bind` does."""
        return cls(bind(host, port, "server"))

    @property
    def port(self) -> int:
        return self.address[1]

    def first(self) -> socket.socket | None:
        """The socket that listens already: for whoever asks first."""
        first, self._first = self._first, None
        return first

    def close(self) -> None:
        if self._first is not None:
            self._first.close()
        self._guard.close()

    def __repr__(self) -> str:
        return f"<SharedPort {self.address[0]}:{self.port}>"


def listening(family: int, address: tuple[str, int]) -> socket.socket:
    """One more socket on the address of a `SharedPort`. Raises OSError."""
    made = _bound(family, address)
    made.listen(BACKLOG)
    return made


def _bound(family: int, address: tuple[str, int]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:  # as socket.create_server has it for the first
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
