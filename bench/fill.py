"""Fill an embedded store as months of use would: `python -m bench.fill --folder DIR --keys N --rows N`.

Through the store's own doors, as the gateway writes: keys are put, and each row comes from a hold that is
settled. The rows are then drained into the ledger's database, so that a gateway that starts on the folder
has nothing left to do.
"""

import argparse
import asyncio
import hashlib
import time
from collections.abc import Coroutine, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import uvloop

from bench.progress import say
from gateway.ledger.drainer import Drainer
from gateway.ledger.sink import Sink
from gateway.ledger.target import FILE
from gateway.policy.ledger import Row, record_of
from gateway.policy.records import KeyRecord, Record, Unit
from gateway.runtime import Tasks
from gateway.store.embedded import Embedded
from gateway.store.redis import RedisStore, open_store

_AT_ONCE = 500  # calls under way: they share writes, and none waits past its deadline
_DRAINED_AT_ONCE = 5_000
_DAYS = 30
_TEAMS, _MODELS = 500, ("gpt-4o-mini", "gpt-4o", "text-embedding-3-small")


def key(number: int) -> KeyRecord:
    digest = hashlib.sha256(f"filled-{number}".encode()).hexdigest()
    limits: list[str | dict[str, Any]] = ["1M requests/hour", "$100/month"]
    return KeyRecord(id=f"k{number:07d}", name=f"filled {number}", digest=digest, limits=limits)


def record(number: int, keys: int, now: int) -> Record:
    """The row of that number, of one of the keys, on one of the last thirty days."""
    at = now - number % _DAYS * 86_400_000
    model = _MODELS[number % len(_MODELS)]
    row = Row(
        id=f"req_filled{number:012d}",
        time=at,
        key=f"k{number % max(1, keys):07d}",
        team=f"team-{number % _TEAMS}",
        endpoint="chat",
        model=model,
        sent=model,
        upstream="scripted",
        status=200,
        cache="miss",
        settled="usage",
        input=40,
        output=20,
        cost=18_000,
        duration=900,
    )
    return record_of(row, time.strftime("%Y-%m-%d", time.gmtime(at / 1000)), model)


async def fill(folder: Path, keys: int, rows: int) -> None:
    """Raises what the store raises."""
    tasks = Tasks()
    embedded = await Embedded.start(folder, tasks.spawn)
    store = await open_store(
        embedded.url, deadline=30, timezone="UTC", max_memory=0, max_rows=rows + rows // 10, spawn=tasks.spawn
    )
    try:
        await _together(store.keys.put_key(key(number)) for number in range(keys))
        say(f"{keys:,} keys are in the store")
        await _together(_settlements(store, keys, rows))
        say(f"{rows:,} ledger rows are in the store")
        await _drain(store, folder)
    finally:
        await store.close()
        await embedded.stop()
        await tasks.drain(0)


def _settlements(store: RedisStore, keys: int, rows: int) -> Iterator[Coroutine[Any, Any, object]]:
    now = time.time_ns() // 1_000_000
    for number in range(rows):
        told = record(number, keys, now)
        yield store.holds.settle(told.key, f"filled-{number}", {Unit.TOKENS: 60}, now, told)


async def _together(calls: Iterable[Coroutine[Any, Any, object]]) -> None:
    left = iter(calls)
    while some := list(islice(left, _AT_ONCE)):
        await asyncio.gather(*some)


async def _drain(store: RedisStore, folder: Path) -> None:
    sink = Sink.of(f"sqlite:{folder / FILE}")
    try:
        drainer = Drainer(store.ledger, sink, batch=_DRAINED_AT_ONCE)
        while await drainer.drain_once():
            pass
        say(f"{drainer.drained:,} of them are in the ledger's database")
    finally:
        await sink.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--keys", type=int, default=100_000)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    given = arguments.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(fill(given.folder, given.keys, given.rows))


if __name__ == "__main__":
    main()
