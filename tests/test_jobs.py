"""What goes on beside the requests ends when it shall, and nothing of it is forgotten."""

import asyncio

from gateway import jobs
from gateway.core import Core
from tests.conftest import Start


def core_of(gateway: object, store: object, background: object) -> Core:
    return Core(gateway, store, None, None, background)  # type: ignore[arg-type]


async def test_what_was_begun_is_cancelled_at_the_end(start: Start) -> None:
    running = await start()
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    core = core_of(running.gateway, running.app.store, running.gateway.tasks)
    with jobs.running(core, {"one": work()}):
        await begun.wait()
    await ended.wait()


async def test_one_process_alone_does_it_all(start: Start) -> None:
    running = await start()
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert {
        *("follow clients", "follow the clock", "know the store", "replay the journal", "sync the journal"),
        *("keep leases", "load the tokenizer", "alert"),
        *("expire leases", "trim the ledger", "drain the ledger"),
    } <= names
    assert not running.gateway.tokens.loaded  # it does not get in the way of the first request
