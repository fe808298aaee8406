"""What every reader of bodies does alike; the rest of it is in the tests of those readers."""

import pytest
from aiohttp import web

from gateway.errors import BadFraming, RequestTimeout
from gateway.exchange import ClientGone
from gateway.web.reading import in_words, too_large


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (TimeoutError(), RequestTimeout),
        (web.RequestPayloadError("secret"), BadFraming),
        (ConnectionResetError(), ClientGone),
    ],
)
def test_faults_become_the_gateways_own(fault: Exception, said: type[Exception]) -> None:
    with pytest.raises(said) as caught, in_words():
        raise fault
    assert caught.value.__suppress_context__
    assert "secret" not in str(caught.value)


def test_what_is_ours_stays_as_it_is() -> None:
    with pytest.raises(BadFraming), in_words():
        raise BadFraming("malformed")


def test_a_bound_is_said() -> None:
    assert "larger than 10 bytes" in too_large(10).message
