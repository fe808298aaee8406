"""The names of everything the gateway keeps, in one place.

All keys of one script share a hash tag (the part in braces): in a Redis Cluster they live in one slot.
"""

from zlib import crc32

CHANNEL = "gw:{keys}:changes"
KEYS = "gw:{keys}:keys"
TEAMS = "gw:{keys}:teams"
SECRETS = "gw:{keys}:secrets"
VERSION = "gw:{keys}:version"

ENTRY = b"gw:{answers}:entry:"
ANSWERS_INDEX = "gw:{answers}:index"
ANSWERS_SIZES = "gw:{answers}:sizes"
ANSWERS_TOTAL = "gw:{answers}:total"


class Keyspace:
    """Spreads shards over `tags` hash tags. The number may not change while the store holds counters."""

    def __init__(self, tags: int = 1) -> None:
        if tags < 1:
            raise ValueError("at least one hash tag is needed")
        self._bases = tuple(f"gw:{{{number}}}:" for number in range(tags))

    def base(self, shard: str) -> str:
        """What the keys of everything that stands together with `shard` begin with."""
        bases = self._bases
        return bases[0] if len(bases) == 1 else bases[crc32(shard.encode()) % len(bases)]

    @property
    def bases(self) -> tuple[str, ...]:
        return self._bases

    def __repr__(self) -> str:
        return f"<Keyspace of {len(self._bases)} tags>"


def leases(base: str) -> str:
    """Sorted set: open hold → when its lease ends (ms)."""
    return base + "leases"


def holds(base: str) -> str:
    """What the key of a hold begins with; its id follows."""
    return base + "hold:"


def limit(base: str, meter: str, window: str = "") -> str:
    """The counters of one limit; a budget has a key for each of its windows."""
    return f"{base}limit:{meter}:{window}" if window else f"{base}limit:{meter}"
