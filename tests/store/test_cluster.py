"""A link to a real cluster: slots that move, nodes that die and come back, and whose reply is whose."""

import asyncio
import logging
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.address import Address, ClusterAddress, StoreMisconfigured, parse
from gateway.store.cluster import ClusterLink
from gateway.store.keyspace import ENTRY, KEYS
from gateway.store.slots import slot_of
from gateway.store.wire import ReplyError
from tests.store.proxy import Proxy
from tests.store.servers import NOW, Cluster, Connect, Node, Spawned, redis_server, until, wait

pytestmark = pytest.mark.redis

Dial = Callable[..., Awaitable[ClusterLink]]
FOREVER = 3600.0  # a deadline that no test lives to see: what fails before it failed at once
NEEDS = ("gw:{0}:", KEYS, ENTRY)  # one at each node: slots 13907, 2915 and 9368


@pytest.fixture
async def dial(spawn: Spawned) -> AsyncIterator[Dial]:
    links: list[ClusterLink] = []

    async def dial(url: str, deadline: float = FOREVER, **more: Any) -> ClusterLink:
        address = parse(url)
        assert isinstance(address, ClusterAddress)
        links.append(ClusterLink(address, deadline=deadline, spawn=spawn, **{"needs": NEEDS} | more))
        await links[-1].open()
        return links[-1]

    yield dial
    for link in links:
        await link.close()


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster that these tests may treat badly; with a password."""
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        cluster = Cluster(redis_server(), Path(folder), password="hush-hush", timeout=500)
        yield cluster.start()
        cluster.stop()


@pytest.fixture
def mine(own: Cluster) -> Cluster:
    """It, whole and empty; one node that is lost does not stop the others."""
    own.tell("CONFIG SET cluster-require-full-coverage no")
    wait(lambda: own.whole)
    assert own.tell("FLUSHALL") == b"+OK"
    return own


def at(cluster: Cluster, node: Node) -> str:
    """One of what is needed, that this node serves."""
    return next(str(need, "ascii") if isinstance(need, bytes) else need for need in NEEDS
                if cluster.owner(need) is node)  # fmt: skip


def spread(number: int) -> str:
    return f"k{number}"


def errors(cluster: Cluster, kind: str) -> int:
    """How often the nodes have refused something for that reason."""
    counts = (
        int(line.partition(b"count=")[2])
        for node in cluster.nodes
        for line in node.ask("INFO", "errorstats").splitlines()
        if line.startswith(f"errorstat_{kind}:".encode())
    )
    return sum(counts)


def forget_errors(cluster: Cluster) -> None:
    cluster.tell("CONFIG RESETSTAT")


# Where calls go


async def test_every_call_goes_to_the_node_of_its_key_and_stays_in_order(
    cluster: Cluster, dial: Dial
) -> None:
    forget_errors(cluster)
    link = await dial(cluster.url)
    assert link.up
    calls = [
        link.call(*command) for n in range(300) for command in (("SET", spread(n), n), ("GET", spread(n)))
    ]
    assert await asyncio.gather(*calls) == [reply for n in range(300) for reply in (b"OK", b"%d" % n)]
    assert all(node.ask("DBSIZE") > 50 for node in cluster.nodes)
    assert errors(cluster, "MOVED") == 0
    assert "3 of 3 nodes up" in repr(link)


async def test_what_has_no_key_goes_to_the_node_of_the_first_need(cluster: Cluster, dial: Dial) -> None:
    link = await dial(cluster.url)
    for need in NEEDS:
        named = await dial(cluster.url, needs=[need])
        assert await named.call("CONFIG", "GET", "port") == [b"port", b"%d" % cluster.owner(need).port]
    assert await link.call("PING") == b"PONG"


async def test_scripts_and_records_of_the_store_never_cross_slots(cluster: Cluster, connect: Connect) -> None:
    forget_errors(cluster)
    store = await connect(cluster.url, max_memory=2000)
    assert store.up
    for number in range(5):
        await store.answers.put(b"%d" % number, b"entry", 60_000, NOW)
    assert await store.keys.secret("s", b"fresh") == b"fresh"
    await store.ping()
    assert errors(cluster, "CROSSSLOT") == errors(cluster, "MOVED") == errors(cluster, "ERR") == 0


async def test_calls_of_one_tick_leave_in_one_write_to_each_node(mine: Cluster, dial: Dial) -> None:
    async with proxied(mine) as proxies:
        link = await dial(mine.url)
        for proxy in proxies:
            proxy.chunks.clear()
        calls = [link.call("SET", spread(n), n) for n in range(90)]
        await asyncio.gather(*calls)
        assert [len(proxy.chunks) for proxy in proxies] == [1, 1, 1]
        assert sum(chunk.count(b"SET") for proxy in proxies for chunk in proxy.chunks) == 90
        link.call("SET", "now", 1)
        link.flush()
        assert await link.call("GET", "now") == b"1"


@asynccontextmanager
async def proxied(cluster: Cluster, **line: float) -> AsyncIterator[list[Proxy]]:
    """A proxy before each node, which says that it is to be found there."""
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(Proxy(node.socket, **line)) for node in cluster.nodes]
        await announce(cluster, [proxy.port for proxy in proxies])
        try:
            yield proxies
        finally:
            await announce(cluster, [node.port for node in cluster.nodes])


async def announce(cluster: Cluster, ports: list[int]) -> None:
    def told(node: Node) -> set[int]:
        return {master[1] for _, _, master, *_ in node.ask("CLUSTER", "SLOTS")}

    for node, port in zip(cluster.nodes, ports, strict=True):
        node.ask("CONFIG", "SET", "cluster-announce-port", port)
    await until(lambda: all(told(node) == set(ports) for node in cluster.nodes))


async def test_three_thousand_cancellations_mix_up_no_answers(mine: Cluster, dial: Dial) -> None:
    chance = random.Random(1)
    async with proxied(mine, delay=0.001, jitter=0.003):
        link = await dial(mine.url)
        await asyncio.gather(*(link.call("SET", spread(n), f"value of {n}") for n in range(50)))
        steps = mine.migrate(slot_of(spread(7)), others(mine, spread(7))[0])

        async def ask(number: int) -> bool:
            try:
                async with asyncio.timeout(chance.random() * 0.02):
                    assert await link.call("GET", spread(number)) == f"value of {number}".encode()
                    return True
            except TimeoutError:
                return False

        answered = 0
        for turn in range(30):
            if turn in (5, 15, 25):
                await asyncio.to_thread(next, steps)
            answered += sum(await asyncio.gather(*(ask(chance.randrange(50)) for _ in range(100))))
        assert 0 < answered < 3000
        assert await link.call("GET", spread(7)) == b"value of 7"
        assert link.up


# Slots that move


def elsewhere(cluster: Cluster, key: str) -> tuple[Node, Node]:
    """Who serves the key, and somebody who does not."""
    source = cluster.owner(key)
    return source, next(node for node in cluster.nodes if node is not source)


@pytest.mark.parametrize("filled", [True, False])
async def test_a_slot_that_has_moved_is_found_and_each_call_is_executed_once(
    mine: Cluster, dial: Dial, filled: bool
) -> None:
    link = await dial(mine.url)
    if filled:
        await link.call("SET", "moving", 10)
    source, target = elsewhere(mine, "moving")
    for _ in mine.migrate(slot_of("moving"), target):
        pass
    forget_errors(mine)
    counts = await asyncio.gather(*(link.call("INCR", "moving") for _ in range(50)))
    assert counts == list(range(11, 61) if filled else range(1, 51))
    assert 0 < errors(mine, "MOVED") <= 50
    assert (source.ask("DBSIZE"), target.ask("GET", "moving")) == (0, b"%d" % counts[-1])
    forget_errors(mine)
    assert await link.call("INCR", "moving") == counts[-1] + 1
    assert errors(mine, "MOVED") == 0
    assert link.up


async def test_while_a_slot_moves_what_is_no_longer_there_is_asked_for_elsewhere(
    mine: Cluster, dial: Dial
) -> None:
    link = await dial(mine.url)
    await link.call("SET", "{m}there", "old")
    source, target = elsewhere(mine, "{m}")
    steps = mine.migrate(slot_of("{m}"), target)
    next(steps)
    calls = [link.call("SET", "{m}new", "new"), link.call("GET", "{m}new"), link.call("GET", "{m}there")]
    assert await asyncio.gather(*calls) == [b"OK", b"new", b"old"]
    assert target.ask("CLUSTER", "COUNTKEYSINSLOT", slot_of("{m}")) == 1
    assert mine.owner("{m}") is source
    with pytest.raises(StoreUnavailable, match="moving these keys") as refused:
        await link.call("DEL", "{m}there", "{m}new")
    assert isinstance(refused.value, ReplyError)
    assert refused.value.kind == "TRYAGAIN"
    next(steps)
    assert await link.call("GET", "{m}there") == b"old"
    next(steps)
    assert await link.call("DEL", "{m}there", "{m}new") == 2


async def test_calls_for_a_slot_stay_in_order_while_it_moves(mine: Cluster, dial: Dial) -> None:
    chance = random.Random(3)
    async with proxied(mine, delay=0.0005, jitter=0.004):
        link = await dial(mine.url)
        calls: list[asyncio.Future[Any]] = []
        moved = 0

        async def push() -> None:
            while moved < 8:
                for _ in range(chance.randrange(4)):
                    calls.append(link.call("RPUSH", "ordered", len(calls)))
                await asyncio.sleep(chance.choice((0, 0, 0, 0.001)))

        task = asyncio.ensure_future(push())
        for _ in range(8):
            steps = mine.migrate(slot_of("ordered"), chance.choice(others(mine, "ordered")))
            for _ in range(3):
                await asyncio.sleep(0.01)
                await asyncio.to_thread(next, steps)
            moved += 1
        await task
        assert await asyncio.gather(*calls) == list(range(1, len(calls) + 1))
        assert await link.call("LRANGE", "ordered", 0, -1) == [b"%d" % n for n in range(len(calls))]
    assert len(calls) > 100


def others(cluster: Cluster, key: str) -> list[Node]:
    slot = slot_of(key)
    return [node for node in cluster.nodes if not cluster.serves(node, slot)]


async def test_nodes_at_odds_are_not_followed_for_ever(mine: Cluster, dial: Dial) -> None:
    link = await dial(mine.url)
    source, target = elsewhere(mine, "odd")
    forget_errors(mine)
    source.ask("CLUSTER", "SETSLOT", slot_of("odd"), "NODE", target.id)
    with pytest.raises(StoreUnavailable, match="moving these keys"):
        await link.call("SET", "odd", 1)
    assert 2 <= errors(mine, "MOVED") <= 6
    target.ask("CLUSTER", "SETSLOT", slot_of("odd"), "NODE", target.id)
    assert await link.call("SET", "odd", 1) == b"OK"


# Nodes that are lost


async def test_a_node_that_is_killed_takes_its_slots_alone_and_is_found_again(
    mine: Cluster, dial: Dial
) -> None:
    link = await dial(mine.url)
    lost = mine.owner(NEEDS[0])
    key = {node.port: at(mine, node) for node in mine.nodes}
    call = link.call("BLPOP", key[lost.port] + "list", 0)
    await until(lambda: b"blocked_clients:1" in lost.ask("INFO", "clients"))
    lost.stop()
    with pytest.raises(StoreUnavailable):
        await call
    assert not link.up
    dead = link.call("GET", key[lost.port])
    assert dead.done()
    assert isinstance(dead.exception(), StoreUnavailable)
    for node in mine.nodes:
        if node is not lost:
            assert await link.call("SET", key[node.port], 1) == b"OK"
    lost.start()
    await until(lambda: mine.whole)
    async with asyncio.timeout(2):
        await until(lambda: link.up)
    assert await link.call("SET", key[lost.port], 1) == b"OK"


async def test_a_frozen_node_costs_one_deadline_and_then_nothing(mine: Cluster, dial: Dial) -> None:
    link = await dial(mine.url, deadline=0.25)
    frozen = mine.owner(NEEDS[0])
    frozen.freeze()
    try:
        results = await asyncio.gather(
            *(link.call("GET", NEEDS[0]) for _ in range(100)), return_exceptions=True
        )
        assert all(isinstance(result, StoreUnavailable) for result in results)
        assert link.call("GET", NEEDS[0]).done()
        assert not link.up
        assert await link.call("GET", NEEDS[1]) is None
    finally:
        frozen.thaw()
    await until(lambda: link.up)
    await until(lambda: mine.whole)


async def test_a_cluster_that_is_down_as_a_whole_says_so_and_comes_back(mine: Cluster, dial: Dial) -> None:
    link = await dial(mine.url)
    mine.tell("CONFIG SET cluster-require-full-coverage yes")
    mine.nodes[2].stop()
    left = mine.nodes[:2]
    await until(lambda: all(b"cluster_state:fail" in node.ask("CLUSTER", "INFO") for node in left))
    with pytest.raises(StoreUnavailable, match="does not serve all of its slots"):
        await link.call("GET", at(mine, left[0]))
    assert not link.up
    mine.nodes[2].start()
    await until(lambda: mine.whole)
    async with asyncio.timeout(2):
        await until(lambda: link.up)
    assert await link.call("GET", at(mine, left[0])) is None


async def test_a_replica_that_takes_over_is_found(home: Path, dial: Dial) -> None:
    cluster = Cluster(redis_server(), home, timeout=500).start()
    try:
        replica = cluster.add_replica(home, cluster.owner(NEEDS[0]))
        link = await dial(cluster.url)
        await link.call("SET", NEEDS[0], "kept")
        master = cluster.owner(NEEDS[0])
        assert await link.call("WAIT", 1, 5000) == 1
        master.stop()
        with pytest.raises(StoreUnavailable):
            await link.call("GET", NEEDS[0])
        replica.ask("CLUSTER", "FAILOVER", "TAKEOVER")
        await until(lambda: b"cluster_state:ok" in replica.ask("CLUSTER", "INFO"))
        await until(lambda: link.up)
        assert await link.call("GET", NEEDS[0]) == b"kept"
        assert await link.call("SET", NEEDS[0], "new") == b"OK"
        assert [address.port for address in await link.addresses()].count(replica.port) == 1
        await until(lambda: "3 of 3 nodes up" in repr(link))
        master.start()
        await until(lambda: master.ask("ROLE")[0] == b"slave")
        assert await link.call("GET", NEEDS[0]) == b"new"
    finally:
        cluster.stop()


# Where it begins


async def test_one_seed_that_answers_is_enough(cluster: Cluster, dial: Dial) -> None:
    nobody = "127.0.0.1:1"
    link = await dial(f"redis+cluster://{nobody},{cluster.nodes[1].place}")
    assert link.up
    assert await link.call("SET", "k", 1) == b"OK"
    ports = [address.port for address in await link.addresses()]
    assert sorted(ports[:3]) == sorted(node.port for node in cluster.nodes)
    assert ports[3:] == [1]


async def test_it_opens_while_no_node_answers_and_finds_them_later(
    mine: Cluster, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    mine.stop()
    link = await dial(mine.url)
    assert not link.up
    with pytest.raises(StoreUnavailable, match="cluster is not reachable"):
        await link.call("PING")
    for node in mine.nodes:
        node.start()
    await until(lambda: mine.whole)
    await until(lambda: link.up)
    assert await link.call("SET", "k", 1) == b"OK"
    assert "hush-hush" not in caplog.text + repr(link)


async def test_a_password_that_is_missing_or_wrong_is_told_in_words(mine: Cluster, dial: Dial) -> None:
    with pytest.raises(StoreMisconfigured, match="asks for a password"):
        await dial(mine.url.replace(":hush-hush@", ""))
    with pytest.raises(StoreMisconfigured, match="refuses the user or the password"):
        await dial(mine.url.replace("hush-hush", "wrong"))
    assert (await dial(mine.url)).up


async def test_every_node_is_greeted_and_one_that_is_refused_refuses_the_start(
    cluster: Cluster, dial: Dial
) -> None:
    greeted: list[bytes] = []

    async def greet(wire: Any) -> None:
        greeted.append(await wire.call("CLUSTER", "MYID"))
        if len(greeted) == 6:
            raise StoreMisconfigured("not this one")

    await dial(cluster.url, greet=greet)
    assert len(set(greeted)) == 3
    with pytest.raises(StoreMisconfigured, match="not this one"):
        await dial(cluster.url, greet=greet)


async def test_after_close_every_call_fails_and_nothing_comes_back(cluster: Cluster, dial: Dial) -> None:
    link = await dial(cluster.url)
    call = link.call("BLPOP", "nothing", 0)
    await link.close()
    with pytest.raises(StoreUnavailable):
        await call
    assert not link.up
    assert link.call("PING").done()


def test_certificates_that_are_missing_are_named_at_once() -> None:
    address = ClusterAddress((Address(tls=True, ca_certs="/nowhere/ca.pem"),))
    with pytest.raises(StoreMisconfigured, match="certificates cannot be read"):
        ClusterLink(address, deadline=1, spawn=Spawned(), needs=NEEDS)
