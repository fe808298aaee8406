"""As many workers as there shall be: whoever dies is replaced, and one that cannot start is no loop."""

import socket

import pytest

from tests.workers.toys import toys


async def test_whoever_dies_is_replaced_and_the_others_go_on() -> None:
    async with toys("s") as crew:
        assert (await crew.event("started"))[1] == 2
        one, other = crew.workers()
        one.kill()
        assert (await crew.event("ended"))[1] in ("0.1", "1.1")
        assert await crew.look(2) == 1
        assert other.is_running()
        assert one.pid not in {each.pid for each in crew.workers()}


async def test_who_connects_to_the_dead_waits_for_whoever_comes_next() -> None:
    async with toys("s") as crew:
        _, _, port, _ = await crew.event("started")
        for worker in crew.workers():
            worker.suspend()
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        for worker in crew.workers():
            worker.kill()
        await crew.event("ended")
        await crew.event("ended")
        assert await crew.look(2) == 2
        for each in waiting:
            each.settimeout(30)
            assert each.recv(1) == b""  # served: this toy closes each connection that it accepts
            each.close()


@pytest.mark.parametrize(
    ("plan", "reason"), [("d", "a worker ended with status 3 before it could serve"), ("f", "no store")]
)
async def test_workers_that_cannot_start_end_it_in_words(plan: str, reason: str) -> None:
    async with toys(plan) as crew:
        assert (await crew.event("started"))[3] == reason
        ended = [event for event in crew.events if event[0] == "ended"]
        assert 3 <= len(ended) <= 6


async def test_one_that_cannot_start_is_tried_again_while_another_serves() -> None:
    async with toys("sdddds") as crew:
        _, accepting, _, failed = await crew.event("started")
        assert (accepting, failed) == (1, None)
        assert await crew.look(2) == 4


async def test_they_end_when_they_are_told_after_their_last_words() -> None:
    async with toys("s") as crew:
        await crew.event("started")
        await crew.order("ask")
        await crew.event("answered", "0.1", "upstreams", "0")
        await crew.order("tell")
        assert (await crew.event("told"))[1] == 2
        await crew.order("drain")
        assert (await crew.event("all ended"))[1] == 0
        for name in ("0.1", "1.1"):
            assert crew.events.index(["answered", name, "metrics", "last"]) < crew.events.index(
                ["ended", name]
            )
        await crew.order("end")
        assert await crew.process.wait() == 0
