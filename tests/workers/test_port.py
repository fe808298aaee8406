"""Workers share a port that is nobody else's."""

import socket
from collections.abc import Iterator

import pytest

from gateway.web.listen import bind
from gateway.workers.port import SharedPort, listening


@pytest.fixture
def port() -> Iterator[SharedPort]:
    opened = SharedPort.open("127.0.0.1", 0)
    yield opened
    opened.close()


def test_any_free_port_is_the_same_for_all(port: SharedPort) -> None:
    first = port.first()
    assert first is not None
    with first, listening(port.family, port.address) as second:
        assert first.getsockname() == second.getsockname() == port.address
        got: dict[str, int] = {"first": 0, "second": 0}
        clients = [socket.create_connection(port.address) for _ in range(64)]
        for name, each in (("first", first), ("second", second)):
            each.setblocking(False)
            while True:
                try:
                    accepted, _ = each.accept()
                except BlockingIOError:
                    break
                accepted.close()
                got[name] += 1
        for client in clients:
            client.close()
        assert sum(got.values()) == 64
        assert min(got.values()) > 0


def test_it_is_given_away_once(port: SharedPort) -> None:
    first = port.first()
    assert first is not None
    assert port.first() is None
    first.close()


@pytest.mark.parametrize("listeners", [0, 1, 2])
def test_a_second_gateway_is_refused_in_words_however_many_listen(port: SharedPort, listeners: int) -> None:
    first = port.first()
    assert first is not None
    open_ones = [first] + [listening(port.family, port.address) for _ in range(listeners)]
    for each in open_ones[: len(open_ones) - listeners]:
        each.close()
    for opening in (SharedPort.open, lambda host, number: bind(host, number, "server")):
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port.port} .*in use"):
            opening("127.0.0.1", port.port)
    for each in open_ones:
        each.close()


def test_a_port_where_somebody_listens_is_not_shared() -> None:
    with bind("127.0.0.1", 0, "server") as taken, pytest.raises(OSError, match="in use"):
        SharedPort.open("127.0.0.1", taken.getsockname()[1])


def test_nobody_is_let_in_while_nobody_listens_and_all_are_free_afterwards() -> None:
    port = SharedPort.open("127.0.0.1", 0)
    first = port.first()
    assert first is not None
    first.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(port.address)
    listening(port.family, port.address).close()
    port.close()
    bind("127.0.0.1", port.port, "server").close()


def test_ipv6() -> None:
    port = SharedPort.open("::1", 0)
    listening(port.family, port.address).close()
    port.close()
