"""Other people's objects do not exist: by a path, by a query, by a body, by a form; with a real store."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import GatewayError, NotFound, PreviousResponseNotFound, StoreUnavailable
from gateway.exchange import Exchange
from gateway.owners import Ownership
from gateway.policy.endpoints import Endpoint
from gateway.policy.ownership import Named
from gateway.policy.records import Client
from gateway.runtime import Gateway
from gateway.stages.own import own as own_stage
from gateway.uploads import FormUpload, open_upload
from tests.exchanges import ended
from tests.store.conftest import connect, home, own, spawn
from tests.store.servers import Connect, Server, Spawned

__all__ = ["connect", "home", "own", "spawn"]

ALICE = Client("alice", "alice", b"", team="a")
BOB = Client("bob", "bob", b"", team="b")
MATE = Client("mate", "mate", b"", team="a")


@pytest.fixture
async def gateway(own: Server, connect: Connect, spawn: Spawned) -> Gateway:
    """One that has nothing but its owners. Alice's team has made a file, a response and a thread."""
    gateway = Gateway.__new__(Gateway)
    gateway.owners = Ownership((await connect(own.url)).owners, spawn, lambda: True)
    made = [Named("file", "file-a"), Named("response", "resp_a"), Named("thread", "thread_a")]
    await gateway.owners.record("team:a", made)
    return gateway


def asking(
    client: Client, path: str = "/responses", body: bytes = b"", query: str = "", **args: str
) -> Exchange:
    endpoint = Endpoint("x", "POST", path, "inference")
    return _changed(
        ended(endpoint="responses"), client=client, endpoint=endpoint, body=body, query=query, path_args=args
    )


def _changed(exchange: Exchange, **changes: Any) -> Exchange:
    for name, value in changes.items():
        setattr(exchange, name, value)
    return exchange


class Sent:
    """A form's bytes, on their way."""

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


async def sent(form: Mapping[str, str]) -> FormUpload:
    parts = (
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form.items()
    )
    body = "".join((*parts, "--x--\r\n")).encode()
    return await open_upload(Sent(body), "multipart/form-data; boundary=x", frozenset(form))


REQUESTS: list[tuple[dict[str, Any], Mapping[str, str] | None]] = [
    ({"path": "/files/{file_id}/content", "file_id": "file-a"}, None),
    ({"path": "/threads/{thread_id}/messages/{message_id}", "thread_id": "thread_a"}, None),
    ({"body": b'{"previous_response_id": "resp_a"}'}, None),
    ({"body": b'{"input": [{"content": [{"type": "input_file", "file_id": "file-a"}]}]}'}, None),
    ({"path": "/containers/{container_id}/files"}, {"file_id": "file-a"}),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "form"), REQUESTS)
async def test_only_who_made_it_and_its_team_get_through(
    gateway: Gateway, request_: dict[str, Any], form: Mapping[str, str] | None
) -> None:
    async def asked(client: Client) -> None:
        exchange = asking(client, **request_)
        exchange.upload = await sent(form) if form else None
        await own_stage(gateway, exchange)

    for client in (ALICE, MATE, replace(BOB, ownership=False)):
        await asked(client)
    with pytest.raises(GatewayError) as refused:
        await asked(BOB)
    assert refused.value.status in (400, 404)


async def test_a_strangers_object_and_none_at_all_are_told_in_the_same_words(gateway: Gateway) -> None:
    words = []
    for file in ("file-a", "file-never-made"):
        with pytest.raises(NotFound) as refused:
            await own_stage(gateway, asking(BOB, "/files/{file_id}", file_id=file))
        words.append((refused.value.message.replace(file, "X"), refused.value.param, refused.value.said))
    assert words[0] == words[1] == ("No such File object: X", "id", None)


async def test_a_previous_response_has_an_error_of_its_own(gateway: Gateway) -> None:
    with pytest.raises(PreviousResponseNotFound):
        await own_stage(gateway, asking(BOB, body=b'{"previous_response_id": "resp_a"}'))


async def test_the_first_that_is_not_ones_own_is_named(gateway: Gateway) -> None:
    with pytest.raises(NotFound) as refused:
        await own_stage(gateway, asking(ALICE, body=b'{"file_ids": ["file-a", "file-b", "file-c"]}'))
    assert "file-b" in refused.value.message


async def test_a_call_that_somebody_listens_to_has_to_be_ones_own(gateway: Gateway) -> None:
    await gateway.owners.record("team:a", [Named("call", "rtc_a")])
    await own_stage(gateway, asking(ALICE, "/realtime", query="call_id=rtc_a"))
    with pytest.raises(NotFound):
        await own_stage(gateway, asking(BOB, "/realtime", query="call_id=rtc_a"))


async def test_what_names_nothing_needs_no_store(gateway: Gateway, own: Server) -> None:
    own.stop()
    body = b'{"model": "m", "messages": [{"role": "user", "content": "see file-a and resp_a"}]}'
    await own_stage(gateway, asking(BOB, "/chat/completions", body))
    with pytest.raises(StoreUnavailable):
        await own_stage(gateway, asking(ALICE, "/files/{file_id}", file_id="file-a"))
