import asyncio

from gateway.web.deadline import Deadline


def made() -> tuple[Deadline, asyncio.Queue[None]]:
    late = asyncio.Queue[None]()
    return Deadline(asyncio.get_running_loop(), lambda: late.put_nowait(None)), late


async def test_it_is_late_once() -> None:
    deadline, late = made()
    deadline.set(0.01)
    await late.get()
    assert deadline.left is None
    await asyncio.sleep(0.03)
    assert late.empty()


async def test_what_is_cleared_is_not_late() -> None:
    deadline, late = made()
    deadline.set(0.01)
    deadline.clear()
    assert deadline.left is None
    await asyncio.sleep(0.03)
    assert late.empty()


async def test_the_time_that_was_set_last_holds_whether_shorter_or_longer() -> None:
    clock = asyncio.get_running_loop().time
    for first, second in ((0.02, 0.1), (20.0, 0.1)):
        deadline, late = made()
        began = clock()
        deadline.set(first)
        deadline.set(second)
        async with asyncio.timeout(5):
            await late.get()
        assert clock() - began >= 0.099


async def test_it_is_used_again() -> None:
    deadline, late = made()
    for _ in range(3):
        deadline.set(0.02)
        deadline.clear()
        deadline.set(0.01)
        await late.get()


async def test_what_is_stopped_leaves_no_timer() -> None:
    deadline, late = made()
    deadline.set(0.01)
    assert 0 < (deadline.left or 0) < 0.02
    deadline.stop()
    deadline.stop()
    await asyncio.sleep(0.03)
    assert late.empty()
