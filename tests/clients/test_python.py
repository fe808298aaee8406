"""The newest `openai` for Python: what it gets through the gateway is what it gets without it."""

import asyncio

import pytest

from tests.clients.cases import CASES, play
from tests.clients.session import Played, directly, through_a_gateway

pytestmark = pytest.mark.xdist_group("clients-python")


@pytest.fixture(scope="module")
def direct() -> Played:
    return asyncio.run(directly(play))


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return asyncio.run(through_a_gateway(play, tmp_path_factory.mktemp("clients")))


@pytest.mark.parametrize("case", CASES)
def test_same_result(case: str, direct: Played, through: Played) -> None:
    assert "error" not in str(direct.results[case])
    assert through.results[case] == direct.results[case]


def test_the_upstream_got_the_same_requests(direct: Played, through: Played) -> None:
    assert [one["path"] for one in through.received] == [one["path"] for one in direct.received]
    assert through.received == direct.received
