"""Whether a session may go on is asked of the key as it is now."""

import pytest
from msgspec.structs import replace

from gateway.errors import Forbidden, InvalidKey
from gateway.sockets.over import Over, client_now
from tests.sockets.conftest import Begin, session_of


async def test_a_key_that_is_as_it_was_goes_on(begin: Begin) -> None:
    gateway = await begin()
    assert client_now(gateway.gateway, session_of(gateway)).id == "test"


async def test_one_that_was_changed_does_not(begin: Begin) -> None:
    gateway = await begin()
    session, table = session_of(gateway), gateway.gateway.clients
    record = table.key("test")
    assert record is not None
    for changed, error in (
        (replace(record, digest="00" * 32), InvalidKey),
        (replace(record, expires=1), InvalidKey),
        (replace(record, endpoints=["inference"]), Forbidden),
    ):
        table.declare([changed], table.teams())
        with pytest.raises(Over) as over:
            client_now(gateway.gateway, session)
        assert isinstance(over.value.error, error)
        assert over.value.close.code == 1008
    table.declare([], table.teams())
    with pytest.raises(Over):
        client_now(gateway.gateway, session)
