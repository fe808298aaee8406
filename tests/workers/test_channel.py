"""Messages arrive whole, in order, however large; and the end of the other side is heard."""

import socket

from gateway.settings import Upstream
from gateway.workers.channel import Channel, supervisors, workers
from gateway.workers.messages import Accepting, Answer, Ask, Drain, FromWorker, Serve, ToWorker


async def pair() -> tuple[Channel[FromWorker, ToWorker], Channel[ToWorker, FromWorker]]:
    ours, theirs = socket.socketpair()
    return await supervisors(ours), await workers(theirs)


async def test_both_ways_in_order_and_of_any_size() -> None:
    supervisor, worker = await pair()
    supervisor.send(Serve("unix:///s"))
    supervisor.send(Ask("metrics"))
    assert [await worker.receive(), await worker.receive()] == [Serve("unix:///s"), Ask("metrics")]
    large = Answer("metrics", bytes(3_000_000))
    worker.send(Accepting())
    worker.send(large)
    assert [await supervisor.receive(), await supervisor.receive()] == [Accepting(), large]
    supervisor.close()
    worker.close()


async def test_the_local_model_is_told_of_with_its_time_limits() -> None:
    supervisor, worker = await pair()
    order = Serve("unix:///s", Upstream(name="local", base_url="http://127.0.0.1:1/v1"), "key")
    supervisor.send(order)
    assert await worker.receive() == order
    supervisor.close()
    worker.close()


async def test_what_was_said_before_the_end_is_heard_and_then_the_end() -> None:
    supervisor, worker = await pair()
    worker.send(Answer("metrics", b"last words"))
    await worker.flush()
    assert await supervisor.receive() == Answer("metrics", b"last words")
    assert await supervisor.receive() is None
    supervisor.send(Drain())  # to nobody: no failure
    supervisor.close()


async def test_half_a_message_is_none() -> None:
    ours, theirs = socket.socketpair()
    supervisor = await supervisors(ours)
    theirs.sendall(b"\x00\x00\x00\x09half")
    theirs.close()
    assert await supervisor.receive() is None
    supervisor.close()
