"""The public listener: OpenAI's API, a client's own numbers, and whether the process is alive."""

from gateway.runtime import Gateway
from gateway.store.base import Ledger
from gateway.web.call import Call, Handler
from gateway.web.me import Me
from gateway.web.ops import healthz
from gateway.web.proxy import proxy
from gateway.web.routes import Routes

_OWN = frozenset({"/healthz", "/gateway/me"})


def public(gateway: Gateway, ledger: Ledger) -> Handler:
    """Whatever is not the gateway's own is looked up in the table of OpenAI's endpoints."""
    me = Me(gateway.clients, gateway.holds, ledger, gateway.clock, gateway.settings.server.timezone)
    own = Routes("Unknown URL.")
    own.add("/healthz", GET=healthz)
    own.add("/gateway/me", GET=me.show)

    async def handle(call: Call) -> None:
        await (own(call) if call.path in _OWN else proxy(gateway, call))

    return handle
