"""Shares that together are no more than the limits."""

import pytest

from gateway.configuration.awaychecks import check_away
from gateway.configuration.complaints import Complaints
from gateway.settings import Away, Server, Settings


@pytest.mark.parametrize(
    ("replicas", "workers", "complaint"),
    [
        (1, 1, ""),
        (6, 3, ""),
        (1, 4, ""),
        (0, 1, "away.replicas: 0 is no number of processes; write 1 or more"),
        (-2, 1, "away.replicas: -2 is no number of processes; write 1 or more"),
        (
            *(2, 4),
            "away.replicas: server.workers is 4, and each of them takes a share; "
            "write the number of processes on all machines, at least 4",
        ),
    ],
)
def test_each_process_takes_a_share(replicas: int, workers: int, complaint: str) -> None:
    complaints = Complaints()
    check_away(Settings(away=Away(replicas=replicas), server=Server(workers=workers)), complaints)
    assert list(complaints) == ([complaint] if complaint else [])
