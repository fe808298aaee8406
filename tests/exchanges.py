"""Exchanges that have ended, without a connection: what telemetry is fed."""

from collections.abc import Sequence
from typing import Any

from gateway.exchange import Exchange, Outcome
from gateway.policy.endpoints import TABLE
from gateway.policy.facts import Facts
from gateway.policy.records import Client, Usage

_ENDPOINTS = {endpoint.name: endpoint for endpoint in TABLE}
MODEL = "gpt-6-luna"


async def _no_body() -> bytes:
    return b""


def _no_values(name: str) -> Sequence[str]:
    return ()


def asking(model: str | None = MODEL, *, stream: bool = False) -> Facts:
    return Facts(
        model=model,
        stream=stream,
        include_usage=None,
        n=1,
        max_output=None,
        store=None,
        stateful=False,
        spans={},
    )


def ended(endpoint: str = "chat.completions", **changes: Any) -> Exchange:
    """A miss that went well, 2 s long with 1.5 s of waiting for the upstream; `changes` to that."""
    exchange = Exchange(
        id="req_1",
        endpoint=_ENDPOINTS[endpoint],
        path_args={},
        headers={},
        header_values=_no_values,
        peer="127.0.0.1",
        read_body=_no_body,
        downstream=None,  # type: ignore[arg-type]  # nothing is sent
        started=100.0,
        arrived=1_800_000_000_000,
        client=Client(id="ab12cd", name="alice", digest=b"", team="research"),
        facts=asking(),
        sent_model=MODEL,
        dispatched=True,
        cache="miss",
        upstream="openai",
        usage=Usage(input=7, output=5, cached=3, reasoning=2),
        begun=True,
        status=200,
        bytes_out=321,
        first_byte=101.75,
        finished=102.0,
        upstream_seconds=1.5,
        outcome=Outcome.COMPLETE,
    )
    for name, value in changes.items():
        setattr(exchange, name, value)
    return exchange
