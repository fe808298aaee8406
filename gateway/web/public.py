"""The public listener: OpenAI's API, a client's own numbers, and whether the process is alive."""

import functools

from gateway.clients import ClientTable, check_address
from gateway.policy.credentials import presented_key
from gateway.policy.records import Client
from gateway.runtime import Gateway
from gateway.web.call import Call, Handler
from gateway.web.ops import healthz
from gateway.web.proxy import proxy
from gateway.web.routes import Routes
from gateway.web.views import instant, standings_view


def public(gateway: Gateway) -> Handler:
    """Whatever is not the gateway's own is looked up in the table of OpenAI's endpoints."""
    own = Routes("Unknown URL.")
    own.add("/healthz", GET=healthz)
    own.add("/gateway/me", GET=functools.partial(me, gateway))

    async def handle(call: Call) -> None:
        if call.path.startswith("/v1/"):
            await proxy(gateway, call)
        else:
            await own(call)

    return handle


async def me(gateway: Gateway, call: Call) -> None:
    """A client about its own key: what it may do, and where each of its limits stands."""
    now = gateway.clock.now()
    client = _client(gateway.clients, call, now)
    standings = await gateway.holds.standings(client.shard, client.limits, now)
    answer = {
        "id": client.id,
        "name": client.name,
        "team": client.team,
        "models": client.models[0],
        "team_models": client.models[1] if len(client.models) > 1 else None,
        "endpoints": sorted(client.endpoints),
        "expires": instant(client.expires),
        "limits": standings_view(standings, now),
    }
    await call.answer_json(200, answer)


def _client(clients: ClientTable, call: Call, now: int) -> Client:
    presented = presented_key(call.header_values("authorization"), call.header_values("api-key"))
    client = clients.identify(presented, now)
    check_address(client, call.peer)
    return client
