"""Plain requests: rounds of wrk against each subject in turn, so that a slow spell hits all of them."""

import time
from http.client import HTTPException

import psutil

from bench import probe, wrk
from bench.apparatus import Apparatus, Running
from bench.cores import Busy, pinned
from bench.progress import say
from bench.results import DIRECT, PlainRound, Results
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
                one = _round(apparatus, row, running, seconds)
            except (OSError, psutil.Error, wrk.WrkError) as error:
                apparatus.complain(f"{row.name}: the round was given up: {error!r}")
                continue
            results.plain.setdefault(row.name, []).append(one)
            say(f"round {number} of {rounds}: {row.name}: {one.rate:,.0f} requests/s")


def _round(apparatus: Apparatus, row: Row, running: Running, seconds: int) -> PlainRound:
    busy, before, asked = Busy(apparatus.cores), running.process.cpu(), apparatus.asked()
    shot = _shoot(apparatus, row, running, CONNECTIONS, seconds)
    used = running.process.cpu_since(before)
    shares = busy.shares(0.0 if row.name == DIRECT else sum(used.values()), shot.seconds)
    if shot.failed:
        apparatus.complain(f"{row.name}: {shot.failed} requests failed")
    _check_forwarding(apparatus, row, apparatus.asked() - asked, shot.requests)
    alone = _shoot(apparatus, row, running, 1, max(1, seconds // 2))
    return PlainRound(
        rate=shot.rate,
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
        )


def _check_forwarding(apparatus: Apparatus, row: Row, reached: int, requests: int) -> None:
    """What was asked and what reached the upstream must agree; what wrk cut off at its end may have, too."""
    expected = range(requests, requests + CONNECTIONS + 1) if row.forwards else range(1)
    if reached not in expected:
        apparatus.complain(f"{row.name}: {requests} requests asked, {reached} reached the upstream")


def _sound(apparatus: Apparatus, row: Row, running: Running) -> bool:
    """Ask until the answer is what the row promises: a hit needs a first time, and it is not measured."""
    deadline = time.monotonic() + _PROBE_SECONDS
    said = ""
    while time.monotonic() < deadline:
        number = f"{next(apparatus.numbers):016d}" if row.unique else "0" * 16
        try:
            answer = probe.ask(running.subject.port, number)
        except (OSError, HTTPException) as error:
            said = repr(error)
        else:
            if answer.status == 200 and answer.cache == row.cache:
                return True
            said = f"{answer.status}, x-gateway-cache {answer.cache}, {answer.body[:200]!r}"
        time.sleep(0.1)
    apparatus.complain(f"{row.name} left out: expected 200, x-gateway-cache {row.cache}; got {said}")
    return False
