"""One door for background work, and a clock that agrees with the store's."""

import asyncio
import logging

import pytest

from gateway.runtime import Clock, Tasks


async def test_drain_waits_then_cancels_and_says_how_many() -> None:
    tasks = Tasks()
    quick = tasks.spawn(asyncio.sleep(0), "quick")
    tasks.spawn(asyncio.Event().wait(), "never")
    assert await tasks.drain(0.01) == 1
    assert quick.done()
    assert repr(tasks) == "<Tasks 0 running>"


async def test_work_that_waits_is_drained_as_tasks_are() -> None:
    tasks = Tasks()
    assert tasks.begin(asyncio.Event().wait(), "never").get_name() == "never"
    quick, done = tasks.begin(asyncio.sleep(0), "quick"), tasks.begin(Tasks().drain(0), "done")
    assert (done.done(), quick.done(), len(tasks)) == (True, False, 2)
    assert await tasks.drain(0.01) == 1
    assert quick.done()
    assert repr(tasks) == "<Tasks 0 running>"


@pytest.mark.parametrize("how", ["spawn", "begin"])
async def test_a_failed_task_is_logged_by_its_type_and_never_by_its_message(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> None:
        raise ValueError("sk-gw-canary")

    tasks = Tasks()
    with caplog.at_level(logging.ERROR, "gateway"):
        getattr(tasks, how)(fails(), "fails")
        await tasks.drain(1)
        await asyncio.sleep(0)
    (record,) = caplog.records
    assert (record.__dict__["task"], record.__dict__["error"]) == ("fails", "ValueError")
    assert "canary" not in caplog.text


def test_the_clock_is_the_stores() -> None:
    here, there = Clock(), Clock(offset=600_000)
    assert 599_000 < there.now() - here.now() < 601_000
    assert here.monotonic() <= here.monotonic()
