"""The scripted upstream does as the prompt says, whoever has passed the prompt on."""

import json
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from bench import chat, probe, subjects
from bench.cores import Cores
from bench.load import Fleet
from bench.processes import Process, free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are pinned")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    subject = subjects.upstream(free_port())
    core = Cores.choose().subject
    with Process("upstream", subject.command, core, tmp_path_factory.mktemp("logs"), {}) as process:
        process.wait_ready(subject.ready)
        yield subject.port


async def test_a_stream_has_the_events_that_were_asked_for(port: int) -> None:
    async with Fleet(port, 7, 500.0, 1) as fleet:
        await fleet.grow(3, 0.01)
        await fleet.finish(10)
    assert fleet.wrong() == 0
    assert fleet.tally.events == 21


def test_a_clocked_event_says_when_it_left(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("POST", chat.PATH, chat.streamed("1", 3, 500, clocked=True))
    events = connection.getresponse().read().decode().split("\n\n")
    connection.close()
    first, second = (json.loads(event.removeprefix("data: ")) for event in events[:2])
    stamps = [int(event["choices"][0]["delta"]["content"]) for event in (first, second)]
    assert 0 < stamps[0] < stamps[1]


def test_only_completions_are_counted(port: int) -> None:
    before = probe.asked(port)
    assert probe.answers(port, "/v1/models")
    assert probe.ask(port, "0" * 16).status == 200
    assert probe.asked(port) == before + 1


def test_a_process_tells_its_memory_and_its_time(tmp_path: Path) -> None:
    subject = subjects.upstream(free_port())
    with Process("upstream", subject.command, Cores.choose().subject, tmp_path, {}) as process:
        process.wait_ready(subject.ready)
        assert process.memory() > 1_000_000
        before = process.cpu()
        for _ in range(50):
            probe.ask(subject.port, "0" * 16)
        used = process.cpu_since(before)
    assert used["subject"] > 0
    assert used["store"] == 0
