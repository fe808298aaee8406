"""Who serves which slots: whom to believe."""

from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.address import Address, StoreMisconfigured
from gateway.store.link import Link
from gateway.store.slots import COUNT
from gateway.store.topology import learn
from tests.store.servers import Cluster, Node, Spawned, address_of, free_port, redis_server

pytestmark = pytest.mark.redis

NOBODY = Address("127.0.0.1", 1)


def lonely() -> tuple[str, ...]:
    """The options of a node that knows no other."""
    return ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))


def seeds(cluster: Cluster) -> list[Address]:
    return [address_of(node.url) for node in cluster.nodes]


async def test_a_node_tells_who_serves_every_slot(cluster: Cluster) -> None:
    view = await learn([], [NOBODY, *seeds(cluster)[:1]], epoch=0, patience=60)
    assert view.whole
    assert sum(last - first + 1 for first, last, _, _ in view.ranges) == COUNT
    assert {each.port for each in view.ranges} == {node.port for node in cluster.nodes}


async def test_nodes_that_are_connected_are_asked_first(cluster: Cluster, spawn: Spawned) -> None:
    address = seeds(cluster)[1]
    link = Link(address, deadline=60, spawn=spawn)
    await link.open()
    view = await learn([(address, link)], [NOBODY], epoch=0, patience=60)
    assert view.whole
    await link.close()
    with pytest.raises(StoreUnavailable):
        await learn([(address, link)], [NOBODY], epoch=0, patience=60)


async def test_who_slept_through_a_failover_is_believed_only_when_there_is_nobody_else(
    cluster: Cluster,
) -> None:
    now = (await learn([], seeds(cluster), epoch=0, patience=60)).epoch
    assert now >= 3
    assert (await learn([], seeds(cluster), epoch=now, patience=60)).epoch == now
    assert (await learn([], seeds(cluster), epoch=now + 1, patience=60)).whole


async def test_a_node_without_a_cluster_is_believed_last(cluster: Cluster, home: Path) -> None:
    node = Node(redis_server(), home, lonely()).start()
    try:
        alone = address_of(node.url)
        assert not (await learn([], [alone], epoch=0, patience=60)).whole
        assert (await learn([], [alone, *seeds(cluster)], epoch=0, patience=60)).whole
    finally:
        node.stop()


async def test_what_is_nobodys_outage_is_told_in_words(home: Path) -> None:
    plain = Node(redis_server(), home).start()
    address = address_of(plain.url)
    try:
        with pytest.raises(StoreMisconfigured, match="is no cluster: write redis://"):
            await learn([], [address, NOBODY], epoch=0, patience=60)
    finally:
        plain.stop()
    with pytest.raises(StoreUnavailable, match="cluster is not reachable"):
        await learn([], [address, NOBODY], epoch=0, patience=60)


async def test_a_user_who_may_not_ask_is_told_in_words(home: Path) -> None:
    node = Node(redis_server(), home, lonely()).start()
    try:
        node.ask("CLUSTER", "ADDSLOTSRANGE", 0, COUNT - 1)
        node.ask("ACL", "SETUSER", "gw", "on", ">pw", "+@all", "-cluster", "~*")
        with pytest.raises(StoreMisconfigured, match="does not tell who serves what: NOPERM"):
            await learn([], [address_of(f"redis://gw:pw@{node.place}")], epoch=0, patience=60)
        node.ask("ACL", "SETUSER", "gw", "+cluster|slots")
        view = await learn([], [address_of(f"redis://gw:pw@{node.place}")], epoch=0, patience=60)
        assert view.whole
    finally:
        node.stop()
