"""All that a registry shows, as compact bytes: how one process's metrics get to another.

A snapshot says of each family how several are to be merged, so that whoever merges them knows no names.
"""

import time
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry

from gateway.observability.tables import Table, table_of

Merge = Literal["sum", "min", "max", "newest"]

# Of a gauge. Counters and histograms are summed, always. `newest` is by when each value was set.
GAUGES: dict[str, Merge] = {
    "gateway_inflight": "sum",
    "gateway_reservations_open": "sum",
    "gateway_journal_entries": "sum",
    "gateway_workers": "sum",
    "process_resident_memory_bytes": "sum",
    "process_virtual_memory_bytes": "sum",
    "process_open_fds": "sum",
    "process_max_fds": "sum",
    # What is wrong for one is wrong.
    "gateway_store_up": "min",
    "gateway_store_reset": "max",
    "gateway_draining": "max",
    "process_start_time_seconds": "min",
    "gateway_model_time_left_seconds": "min",
    "gateway_upstream_up": "newest",
    "gateway_limit_used_ratio": "newest",
    "gateway_build": "newest",
}


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    """`taken` is in seconds by the machine's monotonic clock, which all processes of a machine share."""

    taken: float
    families: list[tuple[Merge, Table]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


def snapshot(registry: CollectorRegistry) -> bytes:
    """What `registry` shows now, for `Merged.update`. Called in the thread that counts."""
    return _encode(taken(registry))


def taken(registry: CollectorRegistry) -> Snapshot:
    """The same, for a process's own use. Raises KeyError for a gauge that nobody has said how to merge."""
    tables = map(table_of, registry.collect())
    return Snapshot(time.monotonic(), [(_merge(table), table) for table in tables])


def read(data: bytes) -> Snapshot:
    """A snapshot from another process. Raises msgspec.DecodeError if it is none."""
    return _decode(data)


def _merge(table: Table) -> Merge:
    return "sum" if table.kind in ("counter", "histogram") else GAUGES[table.name]
