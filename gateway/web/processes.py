"""The processes that serve, as the admin listener shows them: together, however many they are."""

from collections.abc import Iterator
from typing import Any, Protocol

from gateway.runtime import Gateway
from gateway.store.base import Change


class Processes(Protocol):
    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """All metrics of all of them, as one page, and its content type."""
        ...

    async def upstreams(self) -> list[dict[str, Any]]:
        """What was last seen of each upstream, by whichever process has seen it."""
        ...

    async def changed(self, change: Change) -> None:
        """A key or a team was written: return when every process that can be reached knows it."""
        ...

    def unready(self) -> Iterator[str]:
        """Why no traffic should come here yet, as far as the processes are the reason."""
        ...


class Alone:
    """`Processes` of a gateway that is one process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        return self._gateway.telemetry.render(accept)

    async def upstreams(self) -> list[dict[str, Any]]:
        return self._gateway.upstreams.status()

    async def changed(self, change: Change) -> None:
        """Its own table has it already."""

    def unready(self) -> Iterator[str]:
        yield from ()
