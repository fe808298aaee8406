"""As many processes as it says, or one for each core that may be used."""

import os

import pytest

from gateway.configuration.processes import processes
from gateway.settings import Server


@pytest.mark.parametrize("workers", [1, 4])
def test_as_many_as_it_says(workers: int) -> None:
    assert processes(Server(workers=workers)) == workers


def test_one_for_each_core_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5}, raising=False)
    assert processes(Server(workers=0)) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processes(Server(workers=0)) == (os.cpu_count() or 1)
