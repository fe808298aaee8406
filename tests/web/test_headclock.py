"""A head's deadline: it starts once, however its bytes come, and stops with it."""

import asyncio

from gateway.web.headclock import MOST, HeadClock


async def test_it_is_late_once_for_each_start() -> None:
    late = asyncio.Queue[None]()
    clock = HeadClock(0.01, lambda: late.put_nowait(None))
    clock.start()
    clock.arrived(1)
    clock.arrived(1)
    await late.get()
    assert clock.begun
    clock.arrived(1)
    await late.get()
    assert late.empty()


async def test_what_is_stopped_is_not_late_and_has_not_begun() -> None:
    late: list[None] = []
    clock = HeadClock(0.01, lambda: late.append(None))
    clock.arrived(5)
    clock.stop()
    clock.stop()
    await asyncio.sleep(0.03)
    assert (late, clock.begun) == ([], False)


async def test_a_head_has_a_size() -> None:
    clock = HeadClock(60, lambda: None)
    clock.arrived(MOST)
    assert not clock.too_long
    clock.arrived(1)
    assert clock.too_long
    clock.stop()
    assert not clock.too_long
