"""Sessions in which nothing is counted: all passes, and what they create is their client's."""

from gateway.policy.ownership import owner_of
from gateway.sockets.ends import Message
from gateway.sockets.reader import Unmetered
from tests.sockets.conftest import Begin, session_of


async def test_everything_passes_and_the_new_objects_owner_is_known(begin: Begin) -> None:
    gateway = await begin()
    session = session_of(gateway, "/v1/live/sessions")
    assert session.client is not None
    reader = Unmetered(gateway.gateway, session)
    message = Message(b"\x00", text=False)
    assert await reader.outgoing(message) is message
    for data in (b"?", b'{"type":"x"}', b'{"type":"session.started","session":{"id":"live_1"}}'):
        await reader.incoming(Message(data))
    assert await gateway.gateway.owners.mine(owner_of(session.client), ["live_1"]) == {"live_1"}
    assert reader.idle
    assert not await reader.cancel()
