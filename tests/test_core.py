"""What each process of a gateway has, and what each of several shares."""

from pathlib import Path

import pytest

from gateway.core import Given, _shared
from gateway.settings import Away, Key, Server, Settings, Store


def test_what_is_given_is_read_once() -> None:
    environ = {"ALICE": "sk-gw-alice-0123456789"}
    given = Given.of(Settings(keys=[Key(name="alice", secret="env:ALICE")]), environ)
    environ.clear()
    assert given.clients.find(b"sk-gw-alice-0123456789") is not None
    assert "sk-gw-alice" not in repr(given)


def test_what_must_not_be_lost_is_in_the_data_folder() -> None:
    assert Given.of(Settings(store=Store(url="embedded:/srv/gw")), {}).data == Path("/srv/gw")


@pytest.mark.parametrize(("replicas", "workers", "divided"), [(1, 1, 1), (1, 4, 4), (8, 4, 8), (4, 1, 4)])
def test_limits_are_divided_among_all_processes_while_the_store_is_away(
    replicas: int, workers: int, divided: int
) -> None:

    settings = Settings(away=Away(replicas=replicas), server=Server(workers=workers))
    assert _shared(settings).replicas == divided
