"""Work goes on with what it waits for, ends once, and hears of a cancellation."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from gateway.work import Work

Ended = list[BaseException | None]


def begun(coroutine: Coroutine[Any, Any, object]) -> tuple[Work, Ended]:
    ended: Ended = []
    work = Work(coroutine, "some", lambda _, error: ended.append(error))
    work.go_on()
    return work, ended


async def test_what_need_not_wait_is_done_at_once() -> None:
    async def quick() -> int:
        return 1

    work, ended = begun(quick())
    assert (work.done(), ended) == (True, [None])


async def test_it_goes_on_with_each_thing_that_it_waits_for() -> None:
    loop, said = asyncio.get_running_loop(), []
    first, second = loop.create_future(), loop.create_future()

    async def slow() -> None:
        said.append(await first)
        await asyncio.sleep(0)
        said.append(await second)

    work, ended = begun(slow())
    assert not work.done()
    first.set_result("a")
    second.set_result("b")
    await work
    assert (said, ended) == (["a", "b"], [None])


async def test_what_it_raises_is_told_and_not_raised_where_it_was_begun() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    work, ended = begun(fails())
    await work
    assert [type(error) for error in ended] == [KeyError]


async def test_it_hears_of_its_cancellation_and_may_go_on() -> None:
    loop, said = asyncio.get_running_loop(), []

    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await loop.create_future()
        said.append("cancelled")
        await asyncio.sleep(0)

    work, ended = begun(stubborn())
    assert work.cancel()
    await work
    assert (said, ended) == (["cancelled"], [None])
    assert not work.cancel()


async def test_who_waits_for_it_with_a_limit_does_not_cancel_it() -> None:
    more = asyncio.get_running_loop().create_future()

    async def waits() -> None:
        await more

    work, _ = begun(waits())
    assert (await asyncio.wait((work,), timeout=0))[1] == {work}
    assert not more.cancelled()
    more.set_result(None)
    await work


async def test_a_future_of_many_is_waited_for_once_by_each() -> None:
    shared, said = asyncio.get_running_loop().create_future(), []

    async def waits(name: str) -> None:
        said.append((name, await shared))

    works = [begun(waits(name))[0] for name in "ab"]
    task = asyncio.create_task(waits("c"))
    await asyncio.sleep(0)
    shared.set_result(1)
    await asyncio.gather(*works, task)
    assert said == [("a", 1), ("b", 1), ("c", 1)]
