"""Redis Cluster: a link to each master, and every call to the one that serves its key."""

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.store import slots
from gateway.store.address import Address, ClusterAddress, StoreMisconfigured
from gateway.store.link import Greet, Link, Spawn, Watcher, nothing, open_all
from gateway.store.slots import key_of, slot_of
from gateway.store.topology import learn
from gateway.store.wire import Receiver, ReplyError, fail, failed, pack

log = logging.getLogger("gateway")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5  # seconds between questions for who serves what
MOST_HOPS = 5  # nodes that send one call elsewhere: more than that is a cluster at odds with itself

_ASKING = pack(("ASKING",))


@dataclass(slots=True)
class _Gate:
    """Calls for one slot that wait until all that was sent to its former node has been answered."""

    answers: int = 0
    calls: list[tuple[bytes, "asyncio.Future[Any]"]] = field(default_factory=list)


class ClusterLink:
    """`Connection` to a cluster.

    `needs` are keys whose slots must all be served for the store to be up; what has no key of its own goes
    to the node of the first. A call that a node passes on (MOVED, ASK) was not executed: it is sent again
    there. What nobody waits for any more is not. The rest is as in `Link`, which also says what became of
    the calls of a node that is lost.
    """

    def __init__(
        self,
        address: ClusterAddress,
        *,
        deadline: float,
        spawn: Spawn,
        needs: Sequence[str | bytes],
        greet: Greet = nothing,
        name: str = "store",
    ) -> None:
        self._address = address
        self._deadline = deadline
        self._spawn = spawn
        self._greet = greet
        self._name = name
        self._needed = tuple(dict.fromkeys(map(slot_of, needs)))
        self._home = self._needed[0]
        self._nodes: dict[Address, Link] = {}
        self._owners: list[Link | None] = [None] * slots.COUNT
        self._gates: dict[int, _Gate] = {}
        self._hops: dict[asyncio.Future[Any], int] = {}
        self._serves = False  # the cluster, as far as it is known
        self._stale = asyncio.Event()  # somebody may serve something else by now
        self._epoch = 0
        self._turn = 0
        self._reason = "The quota store's cluster is not reachable."
        self._complaint = ""
        self._keeper: asyncio.Task[Any] | None = None
        address.seeds[0].context()  # certificates that are missing are told at once

    # Calls

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        key = key_of(command)
        slot = self._home if key is None else slot_of(key)
        if self._gates and slot in self._gates:
            return self._wait(self._gates[slot], command)
        owner = self._owners[slot]
        return failed(self._reason) if owner is None else owner.call(*command)

    def hand(self, receiver: Receiver, *command: str | bytes | int) -> None:
        def ended(future: asyncio.Future[Any]) -> None:
            error = future.exception()
            if error is None:
                receiver.set_result(future.result())
            else:
                receiver.set_exception(error)

        self.call(*command).add_done_callback(ended)

    def flush(self) -> None:
        for link in self._nodes.values():
            link.flush()

    @property
    def up(self) -> bool:
        owners = map(self._owners.__getitem__, self._needed)
        return self._serves and all(owner is not None and owner.up for owner in owners)

    async def addresses(self) -> Sequence[Address]:
        """Nodes that are up, then those of the URL."""
        near = [address for address, link in self._nodes.items() if link.up]
        return list(dict.fromkeys((*near, *self._address.seeds)))

    # Redirections

    def _redirected(
        self, asked: Address, error: ReplyError, packed: bytes, future: asyncio.Future[Any]
    ) -> bool:
        """Send it there. False: that is enough, or it makes no sense."""
        hops = self._hops.get(future, 0) + 1
        try:
            target = slots.redirection(error.text, asked.host)
        except ValueError:
            return False
        if hops > MOST_HOPS:
            return False
        if future.done():
            return True
        self._count(future, hops)
        link = self._node(target.host, target.port)
        if error.kind == "MOVED":
            self._assign((target.first,), link)
            self._stale.set()
        else:
            link.send(_ASKING, asyncio.get_running_loop().create_future())
        link.send(packed, future)
        return True

    def _count(self, future: asyncio.Future[Any], hops: int) -> None:
        if hops == 1:
            self._limit(future)
            future.add_done_callback(lambda ended: self._hops.pop(ended, None))
        self._hops[future] = hops

    def _limit(self, future: asyncio.Future[Any]) -> None:
        """One deadline, however many nodes hear of it; that it is late is not the fault of the last."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._deadline, fail, future, "The quota store did not answer in time.")
        future.add_done_callback(lambda ended: timer.cancel())

    # The order of calls for a slot that changes hands

    def _assign(self, moved: Iterable[int], link: Link) -> None:
        """From now on `link` serves these slots: for new calls, once their former nodes have no more to say.

        What was sent to those is answered, or passed on by them, in order; a new call must not overtake it.
        """
        former: dict[Link, list[int]] = {}
        for slot in moved:
            owner = self._owners[slot]
            if owner is not link:
                self._owners[slot] = link
                if owner is not None and not owner.idle:
                    former.setdefault(owner, []).append(slot)
        for owner, some in former.items():
            for slot in some:
                self._gates.setdefault(slot, _Gate()).answers += 1
            owner.call("PING").add_done_callback(partial(self._answered, some))

    def _answered(self, some: list[int], ping: asyncio.Future[Any]) -> None:
        for slot in some:
            gate = self._gates[slot]
            gate.answers -= 1
            if not gate.answers:
                del self._gates[slot]
                self._let_through(gate, self._owners[slot])

    def _let_through(self, gate: _Gate, owner: Link | None) -> None:
        for packed, future in gate.calls:
            if owner is not None and not future.done():
                owner.send(packed, future)
            else:
                fail(future, self._reason)

    def _wait(self, gate: _Gate, command: tuple[str | bytes | int, ...]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._limit(future)
        gate.calls.append((pack(command), future))
        return future

    # Nodes

    async def open(self) -> None:
        try:
            await self._learn()
        except StoreUnavailable as error:
            log.warning("%s is down", self._name, extra={"error": error.message})
        await open_all(self._nodes.values())
        self._keeper = self._spawn(self._keep(), f"{self._name} cluster")
        if not self._complete():
            self._stale.set()

    async def close(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self._nodes.values()))

    def _node(self, host: str, port: int) -> Link:
        address = replace(self._address.seeds[0], host=host, port=port)
        link = self._nodes.get(address)
        if link is None:
            link = self._nodes[address] = self._link(address)
            if self._keeper is not None:
                link.begin()
        return link

    def _link(self, address: Address) -> Link:
        watcher = Watcher(self._stale.set, self._refused, partial(self._redirected, address))
        return Link(
            address,
            deadline=self._deadline,
            spawn=self._spawn,
            greet=self._greet,
            name=f"{self._name} at {address.place}",
            watcher=watcher,
        )

    def _refused(self, error: ReplyError) -> None:
        if error.kind == "CLUSTERDOWN":
            self._serves = False
            self._stale.set()

    async def _keep(self) -> None:
        """Ask who serves what whenever that may have changed, and until everything is served."""
        pause = FIRST_PAUSE
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                await self._learn()
                await self._part()
            except StoreMisconfigured as error:
                self._complain(str(error))
            except StoreUnavailable:
                self._serves = False
            if self._complete():
                pause, self._complaint = FIRST_PAUSE, ""
            else:
                self._stale.set()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _learn(self) -> None:
        near = [(address, link) for address, link in self._nodes.items() if link.up]
        self._turn += 1
        start = self._turn % len(near) if near else 0
        seeds = [seed for seed in self._address.seeds if seed not in dict(near)]
        view = await learn(near[start:] + near[:start], seeds, epoch=self._epoch, patience=self._deadline)
        for first, last, host, port in view.ranges:
            self._assign(range(first, last + 1), self._node(host, port))
        self._serves, self._epoch = view.whole, view.epoch

    def _complete(self) -> bool:
        return self._serves and all(owner is not None and owner.up for owner in set(self._owners))

    async def _part(self) -> None:
        """From nodes that serve nothing and are gone. One that is there may be about to serve something."""
        owners = set(self._owners)
        for address, link in list(self._nodes.items()):
            if link not in owners and not link.up and not link.beginning:
                del self._nodes[address]
                await link.close()

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            log.error("%s refuses: %s", self._name, text)

    def __str__(self) -> str:
        return str(self._address)

    def __repr__(self) -> str:
        near = sum(link.up for link in self._nodes.values())
        return f"<ClusterLink {self._name} {self._address} {near} of {len(self._nodes)} nodes up>"
