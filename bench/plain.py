"""Plain requests: rounds of wrk against each subject in turn, so that a slow spell hits all of them."""

import time
from http.client import HTTPException

import psutil

from bench import probe, wrk
from bench.apparatus import Apparatus, Running
from bench.cores import Busy, pinned
from bench.progress import say
from bench.rest import put_off
from bench.results import DIRECT, DISTURBED, PlainRound, Results
from bench.subjects import Row

CONNECTIONS = 32
_PROBE_SECONDS = 3


def measure(apparatus: Apparatus, results: Results, *, rounds: int, seconds: int) -> None:
    """Fill `results.plain`. A row that does not answer as it should is left out, with a complaint."""
    lines = [(row, running) for running in apparatus.running for row in running.subject.rows]
    lines = [(row, running) for row, running in lines if _sound(apparatus, row, running)]
    for number in range(1, rounds + 1):
        for row, running in lines:
            try:
                one = _undisturbed(apparatus, row, running, seconds)
            except (OSError, psutil.Error, wrk.WrkError) as error:
                apparatus.complain(f"{row.name}: the round was given up: {error!r}")
                continue
            results.plain.setdefault(row.name, []).append(one)
            say(f"round {number} of {rounds}: {row.name}: {one.rate:,.0f} requests/s")


def _undisturbed(apparatus: Apparatus, row: Row, running: Running, seconds: int) -> PlainRound:
    """A round in which others used the subject's core is measured again, once; the better one counts."""
    one = _round(apparatus, row, running, seconds)
    if row.name == DIRECT or one.busy.others <= DISTURBED:
        return one
    say(f"{row.name}: others used {one.busy.others:.0%} of its core: again")
    return min(one, _round(apparatus, row, running, seconds), key=lambda each: each.busy.others)


def _round(apparatus: Apparatus, row: Row, running: Running, seconds: int) -> PlainRound:
    busy, before, asked = Busy(apparatus.cores), running.process.cpu(), apparatus.asked()
    shot = _shoot(apparatus, row, running, CONNECTIONS, seconds)
    at_once = running.process.cpu_since(before)
    shares = busy.shares(0.0 if row.name == DIRECT else sum(at_once.values()), shot.seconds)
    later = put_off(running.process)
    used = running.process.cpu_since(before)
    if shot.failed:
        apparatus.complain(f"{row.name}: {shot.failed} requests failed")
    _check_forwarding(apparatus, row, apparatus.asked() - asked, shot.requests)
    alone = _shoot(apparatus, row, running, 1, max(1, seconds // 2))
    put_off(running.process)
    return PlainRound(
        rate=shot.requests / (shot.seconds + later),
        cpu_us=used["subject"] * 1e6 / max(1, shot.requests),
        store_cpu_us=used["store"] * 1e6 / max(1, shot.requests),
        p50_us=alone.p50_us,
        p99_us=alone.p99_us,
        failed=shot.failed + alone.failed,
        busy=shares,
    )


def _shoot(apparatus: Apparatus, row: Row, running: Running, connections: int, seconds: int) -> wrk.Shot:
    with pinned(apparatus.cores.load):
        return wrk.run(
            running.subject.port,
            unique=row.unique,
            connections=connections,
            seconds=seconds,
            first=next(apparatus.numbers),
            folder=apparatus.folder,
            further=running.subject.further,
        )


def _check_forwarding(apparatus: Apparatus, row: Row, reached: int, requests: int) -> None:
    """What was asked and what reached the upstream must agree; what wrk cut off at its end may have, too.

    It does not count what is answered after its time was up, and has asked on each connection once more.
    """
    expected = range(requests, requests + 2 * CONNECTIONS + 1) if row.forwards else range(1)
    if reached not in expected:
        apparatus.complain(f"{row.name}: {requests} requests asked, {reached} reached the upstream")


def _sound(apparatus: Apparatus, row: Row, running: Running) -> bool:
    """Ask until the answer is what the row promises: a hit needs a first time, and it is not measured."""
    deadline = time.monotonic() + _PROBE_SECONDS
    said = ""
    while time.monotonic() < deadline:
        number = f"{next(apparatus.numbers):016d}" if row.unique else "0" * 16
        try:
            answer = probe.ask(running.subject.port, number, running.subject.further)
        except (OSError, HTTPException) as error:
            said = repr(error)
        else:
            if answer.status == 200 and answer.cache == row.cache:
                return True
            said = f"{answer.status}, x-gateway-cache {answer.cache}, {answer.body[:200]!r}"
        time.sleep(0.1)
    apparatus.complain(f"{row.name} left out: expected 200, x-gateway-cache {row.cache}; got {said}")
    return False
