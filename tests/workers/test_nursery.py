"""Workers are forked from a process that has nothing to lose, and end with it."""

import os
import signal

import psutil

from tests.served import gone
from tests.workers.toys import toys


async def test_it_has_one_thread_and_nothing_but_its_sockets() -> None:
    async with toys("s") as crew:
        await crew.event("started")
        (nursery,) = psutil.Process(crew.process.pid).children()
        assert nursery.num_threads() == 1
        listening = [one for one in nursery.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        assert len(listening) == len(crew.workers()) == 2
        for worker in crew.workers():
            (own,) = (one for one in worker.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
            assert own.laddr == listening[0].laddr


async def test_a_terminal_ends_nobody_but_through_the_supervisor() -> None:
    async with toys("s") as crew:
        await crew.event("started")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for process in psutil.Process(crew.process.pid).children(recursive=True):
                os.kill(process.pid, number)
        await crew.order("ask")
        await crew.event("answered", "1.1")
        assert await crew.look(2) == 0


async def test_it_ends_with_the_supervisor_and_its_workers_with_it() -> None:
    async with toys("s") as crew:
        await crew.event("started")
        family = psutil.Process(crew.process.pid).children(recursive=True)
        assert len(family) == 3
        crew.process.kill()
        await gone(family)


async def test_workers_end_with_it() -> None:
    async with toys("s") as crew:
        await crew.event("started")
        (nursery,) = psutil.Process(crew.process.pid).children()
        family = [nursery, *crew.workers()]
        nursery.kill()
        await crew.event("ended")
        await crew.order("end")
        assert await crew.process.wait() == 0
        await gone(family)
