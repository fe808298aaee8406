"""Who serves which slots, as one node of a cluster tells it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.store.address import Address, StoreMisconfigured
from gateway.store.dial import ask
from gateway.store.link import Link
from gateway.store.slots import Range, ranges
from gateway.store.wire import ReplyError

QUESTIONS = (("CLUSTER", "INFO"), ("CLUSTER", "SLOTS"))


@dataclass(frozen=True, slots=True)
class View:
    """`whole`: the node sees a cluster that serves. `epoch` grows with every failover of the cluster."""

    whole: bool
    epoch: int
    ranges: tuple[Range, ...]


async def learn(
    links: Sequence[tuple[Address, Link]], seeds: Sequence[Address], *, epoch: int, patience: float
) -> View:
    """The view of the first node that sees a cluster that serves, and has heard of `epoch`.

    Where there is none the best that was told: a node that slept through a failover is not believed as long
    as one is found that did not. Nodes that are connected are asked first, in this order; `patience` is
    seconds for each of the others. Raises StoreUnavailable where no node answers, and StoreMisconfigured
    where that is nobody's outage.
    """
    told: list[View] = []
    wrong: StoreMisconfigured | None = None
    questions = [partial(_of_link, *each) for each in links]
    questions += [partial(_of_seed, seed, patience) for seed in seeds]
    for question in questions:
        try:
            view = await question()
        except StoreMisconfigured as error:
            wrong = error
        except StoreUnavailable:
            continue
        else:
            if view.whole and view.epoch >= epoch:
                return view
            told.append(view)
    if not told:
        raise wrong or StoreUnavailable("The quota store's cluster is not reachable.")
    return max(told, key=lambda view: (view.whole, view.epoch))


async def _of_link(address: Address, link: Link) -> View:
    replies = await asyncio.gather(*(link.call(*each) for each in QUESTIONS), return_exceptions=True)
    return _view(address, replies)


async def _of_seed(seed: Address, patience: float) -> View:
    return _view(seed, await ask(seed, *QUESTIONS, patience=patience))


def _view(asked: Address, replies: Sequence[Any]) -> View:
    info, slots = replies
    if isinstance(slots, ReplyError) and not slots.unready:
        if "cluster support disabled" in slots.text:
            raise StoreMisconfigured(f"the store at {asked} is no cluster: write redis:// or rediss://")
        raise StoreMisconfigured(f"the store at {asked} does not tell who serves what: {slots.text[:200]}")
    if isinstance(slots, BaseException):
        raise slots
    whole, epoch = _state(info)
    return View(whole and bool(slots), epoch, tuple(ranges(slots, asked.host)))


def _state(info: Any) -> tuple[bool, int]:
    """Whether it serves, and its epoch. INFO may be forbidden: then the node is believed."""
    if not isinstance(info, bytes):
        return True, 0
    fields = dict(line.partition(":")[::2] for line in info.decode().splitlines())
    return fields.get("cluster_state") == "ok", int(fields.get("cluster_current_epoch", "0"))
