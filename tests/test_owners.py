"""Whose is what: asked of a real store, remembered while it is away, and no stranger gets in between."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway import owners
from gateway.errors import StoreReset, StoreUnavailable, UpstreamProtocolError
from gateway.owners import Ownership
from gateway.policy.ownership import Named
from tests.store.conftest import connect, home, own, spawn
from tests.store.servers import Connect, Server, Spawned
from tests.waiting import until

__all__ = ["connect", "home", "own", "spawn"]

FILE, RESPONSE = Named("file", "file-1"), Named("response", "resp_1")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying again does not wait for long."""
    monkeypatch.setattr(owners, "_AGAIN_SECONDS", 0.01)


async def ownership(
    server: Server, connect: Connect, spawn: Spawned, trusted: Callable[[], bool] = lambda: True
) -> Ownership:
    return Ownership((await connect(server.url)).owners, spawn, trusted)


async def test_what_one_made_exists_for_nobody_else(own: Server, connect: Connect, spawn: Spawned) -> None:
    here = await ownership(own, connect, spawn)
    there = await ownership(own, connect, spawn)
    await here.record("team:a", [FILE, RESPONSE])
    assert await there.stranger("team:a", [FILE, RESPONSE]) is None
    assert await there.stranger("team:b", [FILE, RESPONSE]) == FILE
    assert await there.stranger("team:a", [RESPONSE, Named("file", "never made")]) == Named(
        "file", "never made"
    )
    assert await there.mine("team:a", ["file-1", "file-2", "resp_1"]) == {"file-1", "resp_1"}


async def test_what_is_deleted_is_forgotten(own: Server, connect: Connect, spawn: Spawned) -> None:
    here = await ownership(own, connect, spawn)
    await here.record("team:a", [FILE])
    await here.forget(FILE)
    assert await here.stranger("team:a", [FILE]) == FILE


async def test_nobody_gets_what_nobody_can_be_asked_about(
    own: Server, connect: Connect, spawn: Spawned
) -> None:
    here = await ownership(own, connect, spawn)
    await here.record("team:a", [FILE])
    own.stop()
    with pytest.raises(StoreUnavailable):
        await here.stranger("team:a", [FILE])
    await here.forget(FILE)


async def test_a_store_that_lost_its_memory_does_not_say_that_there_is_no_such_thing(
    own: Server, connect: Connect, spawn: Spawned
) -> None:
    here = await ownership(own, connect, spawn, trusted=lambda: False)
    await here.record("team:a", [FILE])
    assert await here.stranger("team:a", [FILE]) is None, "what it knows is true all the same"
    with pytest.raises(StoreReset):
        await here.stranger("team:a", [RESPONSE])


@pytest.mark.usefixtures("at_once")
async def test_what_is_made_while_the_store_is_away_is_recorded_when_it_is_back(
    own: Server, connect: Connect, spawn: Spawned
) -> None:
    here = await ownership(own, connect, spawn)
    own.stop()
    await here.record("team:a", [FILE, RESPONSE])
    assert (len(here), repr(here)) == (2, "<Ownership 2 to be recorded>")
    assert await here.stranger("team:a", [FILE, RESPONSE]) is None
    with pytest.raises(StoreUnavailable):
        await here.stranger("team:b", [FILE])
    own.start()
    await until(lambda: not len(here))
    there = await ownership(own, connect, spawn)
    assert await there.mine("team:a", ["file-1", "resp_1"]) == {"file-1", "resp_1"}
    assert await here.stranger("team:b", [FILE]) == FILE


async def test_closing_is_the_last_attempt(own: Server, connect: Connect, spawn: Spawned) -> None:
    here = await ownership(own, connect, spawn)
    own.stop()
    await here.record("team:a", [FILE])
    own.start()
    there = await ownership(own, connect, spawn)
    await until(lambda: here._owners._runner._link.up)  # type: ignore[attr-defined]  # no other event says so
    await here.close()
    assert await there.stranger("team:a", [FILE]) is None


async def test_what_never_reached_the_store_is_said_when_it_closes(
    own: Server, connect: Connect, spawn: Spawned, caplog: pytest.LogCaptureFixture
) -> None:
    here = await ownership(own, connect, spawn)
    own.stop()
    await here.record("team:a", [FILE])
    await here.close()
    assert "has no owner" in caplog.text


async def test_memory_is_bounded_and_the_oldest_goes(
    own: Server, connect: Connect, spawn: Spawned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "_MOST_WAITING", 10)
    here = await ownership(own, connect, spawn)
    own.stop()
    await here.record("team:a", [Named("file", str(number)) for number in range(15)])
    assert len(here) == 10
    assert await here.mine("team:a", map(str, range(5, 15))) == set(map(str, range(5, 15)))
    await here.close()


# ---- lists ---------------------------------------------------------------------------------------------


class Listed:
    """An upstream's list of numbered files, page by page."""

    def __init__(self, count: int, size: int) -> None:
        self.ids = [f"file-{number}" for number in range(count)]
        self.size = size
        self.queries: list[str] = []

    async def __call__(self, query: str) -> bytes | None:
        self.queries.append(query)
        return self.page(query.partition("after=")[2])

    def page(self, after: str = "") -> bytes:
        start = self.ids.index(after) + 1 if after else 0
        some = self.ids[start : start + self.size]
        data: dict[str, Any] = {"object": "list", "data": [{"id": each} for each in some]}
        more = start + self.size < len(self.ids)
        return json.dumps(data | {"first_id": some[0], "last_id": some[-1], "has_more": more}).encode()


async def shown(here: Ownership, listed: Listed, owner: str) -> list[str]:
    """All that a client sees who turns pages as OpenAI's libraries do."""
    seen: list[str] = []
    after = ""
    while True:
        query = f"limit={listed.size}" + (f"&after={after}" if after else "")
        answer = json.loads(await here.page(owner, listed.page(after), query, listed, str.upper))
        seen += [each["id"] for each in answer["data"]]
        if not (answer["has_more"] and answer["data"]):
            return seen
        after = answer["data"][-1]["id"]
        assert answer["last_id"] == after


async def test_whoever_turns_the_pages_sees_all_of_its_own_and_nothing_else(
    own: Server, connect: Connect, spawn: Spawned
) -> None:
    here = await ownership(own, connect, spawn)
    listed = Listed(60, 5)
    a, b = ["file-0", "file-1", "file-31", "file-59"], ["file-2", "file-33"]
    await here.record("team:a", [Named("file", each) for each in a])
    await here.record("team:b", [Named("file", each) for each in b])
    assert await shown(here, listed, "team:a") == a
    assert await shown(here, listed, "team:b") == b
    assert await shown(here, listed, "team:c") == []
    assert all(query.startswith("limit=5&after=") for query in listed.queries)


async def test_it_does_not_read_on_for_ever(own: Server, connect: Connect, spawn: Spawned) -> None:
    here = await ownership(own, connect, spawn)
    listed = Listed(500, 1)
    answer = json.loads(await here.page("team:a", listed.page(), "limit=1", listed, str.upper))
    assert len(listed.queries) < 30
    assert (answer["data"], answer["has_more"]) == ([], True)
    assert answer["last_id"] == f"FILE-{len(listed.queries)}", "who turns pages by it can go on"


async def test_a_next_page_that_does_not_come_ends_it(own: Server, connect: Connect, spawn: Spawned) -> None:
    here = await ownership(own, connect, spawn)

    async def nothing(query: str) -> None:
        return None

    answer = json.loads(await here.page("team:a", Listed(9, 3).page(), "", nothing, str.upper))
    assert (answer["data"], answer["last_id"]) == ([], "FILE-2")


async def test_what_is_no_list_is_not_shown(own: Server, connect: Connect, spawn: Spawned) -> None:
    here = await ownership(own, connect, spawn)
    with pytest.raises(UpstreamProtocolError):
        await here.page("team:a", b'{"id": "file-1"}', "", Listed(1, 1), str.upper)


async def test_racing_processes_agree_on_one_owner(own: Server, connect: Connect, spawn: Spawned) -> None:
    several = [await ownership(own, connect, spawn) for _ in range(3)]
    await asyncio.gather(*(several[n % 3].record(f"team:{n}", [FILE]) for n in range(12)))
    mine = [await several[0].stranger(f"team:{n}", [FILE]) for n in range(12)]
    assert mine.count(None) == 1


async def test_others_are_those_whom_somebody_knows(own: Server, connect: Connect, spawn: Spawned) -> None:
    here = await ownership(own, connect, spawn)
    await here.record("team:a", [Named("file", "file-a")])
    await here.record("team:b", [Named("file", "file-b")])
    assert await here.others("team:a", ["file-a", "file-b", "a word"]) == {"file-b"}
    assert await here.others("team:a", []) == set()
