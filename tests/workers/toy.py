"""A crew of toys: `python -m tests.workers.toy PLAN`, a process of its own because it forks.

PLAN says what the workers do, one letter for each that is forked, the last one for all that follow: `s`erves,
`d`ies before it could, says that it cannot (`f`), or serves for a second and dies (`y`). What happens is
printed, one JSON array for each event; a line on the standard input is an order.
"""

import asyncio
import json
import mmap
import os
import signal
import socket
import sys
from typing import Any

from gateway.runtime import Tasks
from gateway.store.base import Change
from gateway.workers.channel import workers
from gateway.workers.crew import Crew
from gateway.workers.member import Member
from gateway.workers.messages import Accepting, Answer, Ask, Changed, Drain, Failed, Known, Serve, Topic
from gateway.workers.nursery import Nursery
from gateway.workers.port import SharedPort

forked = mmap.mmap(-1, 1)  # how many, in memory that all of them share


def say(*event: Any) -> None:
    print(json.dumps(event), flush=True)


def work(number: int, channel: socket.socket, listening: socket.socket) -> int:
    plan = sys.argv[1]
    role = plan[min(forked[0], len(plan) - 1)]
    forked[0] += 1
    if role == "d":
        return 3
    return asyncio.run(_work(number, role, channel, listening))


async def _work(number: int, role: str, channel: socket.socket, listening: socket.socket) -> int:
    line = await workers(channel)
    first = await line.receive()
    assert isinstance(first, Serve)
    if role == "f":
        line.send(Failed(f"no {first.store_url}"))
        await line.flush()
        return 1
    await asyncio.start_server(lambda reader, writer: writer.close(), sock=listening)
    line.send(Accepting())
    while (message := await line.receive()) is not None:
        if isinstance(message, Drain):
            break
        if isinstance(message, Ask):
            line.send(Answer(message.topic, f"{number}".encode()))
        elif isinstance(message, Changed):
            line.send(Known(message.number))
    line.send(Answer("metrics", b"last"))
    await line.flush()
    return 0


async def run(nursery: Nursery) -> None:
    tasks, orders = Tasks(), asyncio.Queue[str]()
    loop = asyncio.get_running_loop()
    loop.add_reader(0, lambda: orders.put_nowait(os.read(0, 100).decode().strip()))
    port = SharedPort.open("127.0.0.1", 0)

    def answered(member: Member, topic: Topic, body: bytes) -> None:
        say("answered", member.name, topic, body.decode())

    crew = Crew(
        *(nursery, port, 2, Serve("store"), tasks),
        answered,
        lambda member: say("ended", member.name),
    )
    crew.start()
    await crew.started()
    say("started", len(crew.accepting), port.port, crew.failed.result() if crew.failed.done() else None)
    while (order := await orders.get()) != "end":
        if order == "ask":
            await asyncio.gather(*(member.ask("upstreams") for member in crew.accepting))
        elif order == "tell":
            await asyncio.gather(*(member.tell(Change("key", "a")) for member in crew.accepting))
            say("told", len(crew.accepting))
        elif order == "drain":
            crew.drain()
            await crew.ended()
            say("all ended", crew.restarts)
        elif order == "look":
            say("look", len(crew.accepting), crew.restarts)
    crew.close()
    port.close()
    await tasks.drain(5)


def main() -> None:
    nursery = Nursery.fork(work)
    say("nursery", nursery.pid)
    signal.alarm(60)
    asyncio.run(run(nursery))


if __name__ == "__main__":
    main()
