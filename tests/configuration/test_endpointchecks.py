import pytest

from gateway.configuration.complaints import Complaints
from gateway.configuration.endpointchecks import check_endpoints
from gateway.settings import Dollars, Endpoints, Key, Prices, Settings, Team


def found(settings: Settings) -> list[str]:
    complaints = Complaints()
    check_endpoints(settings, complaints)
    return [str(each) for each in complaints]


def prices(*operations: str) -> Settings:
    return Settings(prices=Prices(operations=dict.fromkeys(operations, Dollars(1))))


@pytest.mark.parametrize(
    "endpoints",
    [
        Endpoints(),
        Endpoints(allow=["all"]),
        Endpoints(allow=["inference", "organization", "vector_stores"], unknown="forward"),
    ],
)
def test_what_can_be_opened(endpoints: Endpoints) -> None:
    assert found(Settings(endpoints=endpoints)) == []


def test_groups_that_there_are_not() -> None:
    settings = Settings(
        endpoints=Endpoints(allow=["inference", "video"]),
        teams=[Team(name="t", endpoints=["files"]), Team(name="u", endpoints=["unknown"])],
        keys=[Key(name="k", secret="env:K", endpoints=["all", ""])],
    )
    assert [each.partition(";")[0] for each in found(settings)] == [
        "endpoints.allow[1]: there is no group 'video'",
        "teams[1].endpoints[0]: there is no group 'unknown'",
        "keys[0].endpoints[1]: there is no group ''",
    ]


def test_nothing_is_no_choice() -> None:
    assert found(Settings(endpoints=Endpoints(allow=[])))[0].startswith("endpoints.allow: nothing would")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("batch.create", "there is no such operation"),
        ("chat.completions", "its answer says what it costs"),
        ("files.list", "it costs nothing"),
    ],
)
def test_what_cannot_have_a_price_of_its_own(name: str, complaint: str) -> None:
    (said,) = found(prices(name))
    assert said.startswith(f'prices.operations."{name}": {complaint}')


def test_what_can() -> None:
    assert found(prices("batches.create", "videos.create", "live.connect")) == []
