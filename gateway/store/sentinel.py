"""Where the master is, as Redis Sentinel knows it.

https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

import ssl
from collections.abc import Sequence
from dataclasses import replace

from gateway.errors import StoreUnavailable
from gateway.store.address import Address, SentinelAddress, StoreMisconfigured
from gateway.store.dial import ask
from gateway.store.wire import ReplyError

PATIENCE = 0.3  # seconds that one sentinel may take: another one may be asked before a call's deadline


class Sentinels:
    """`Whereabouts` of a master. Each question begins with another sentinel.

    So one that is dead, or that knows no better because it is cut off, spoils an attempt and not all of them.
    """

    def __init__(self, address: SentinelAddress) -> None:
        self._address = address
        self._turn = -1

    async def addresses(self) -> Sequence[Address]:
        known = self._address.sentinels
        self._turn += 1
        wrong: StoreMisconfigured | None = None
        for number in range(len(known)):
            try:
                return (await self._ask(known[(self._turn + number) % len(known)]),)
            except StoreMisconfigured as error:
                wrong = error
            except StoreUnavailable:
                continue
        raise wrong or StoreUnavailable("The quota store's sentinels are not reachable.")

    async def _ask(self, sentinel: Address) -> Address:
        name = self._address.name
        (reply,) = await ask(sentinel, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name), patience=PATIENCE)
        if isinstance(reply, ReplyError):
            raise StoreMisconfigured(f"the sentinel at {sentinel.place} refuses: {reply.text[:200]}")
        if reply is None:
            raise StoreMisconfigured(f"the sentinel at {sentinel.place} knows no master of that name")
        host, port = reply
        return replace(self._address.server, host=host.decode(), port=int(port))

    def context(self) -> ssl.SSLContext | None:
        return self._address.server.context()

    def __str__(self) -> str:
        return str(self._address)

    def __repr__(self) -> str:
        return f"<Sentinels {self._address}>"
