"""The names of everything the gateway keeps, in one place.

All keys of one script share a hash tag (the part in braces): in a Redis Cluster they live in one slot.
"""

from hashlib import blake2b
from zlib import crc32

CHANNEL = "gw:{keys}:changes"
KEYS = "gw:{keys}:keys"
TEAMS = "gw:{keys}:teams"
SECRETS = "gw:{keys}:secrets"
VERSION = "gw:{keys}:version"
MARK = "gw:{keys}:mark:"
OWNER = "gw:own:"

ENTRY = b"gw:{answers}:entry:"
ANSWERS_INDEX = "gw:{answers}:index"
ANSWERS_SIZES = "gw:{answers}:sizes"
ANSWERS_TOTAL = "gw:{answers}:total"


class Keyspace:
    """Spreads shards over `tags` hash tags. The number may not change while the store holds counters.

    The ledger is one chain, so where rows are written there is one tag.
    """

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


def epoch(base: str) -> str:
    """The name of this store: gone when its counters are."""
    return base + "epoch"


def ledger(base: str) -> str:
    """Stream of rows: number, row and hash."""
    return base + "ledger"


def head(base: str) -> str:
    """Hash: number, hash and time (ms) of the last row ever written."""
    return base + "ledger:head"


def sums(base: str, day: str) -> str:
    """Hash: who (key, team and model) → what was used on that day, packed."""
    return f"{base}sums:{day}"


def tag_sums(base: str, day: str) -> str:
    """Hash: tag → what was used under it on that day, packed."""
    return f"{base}tagsums:{day}"


def recent(base: str, key: str) -> str:
    """List: where the latest rows of one client's key stand in the ledger."""
    return f"{base}recent:{hashed(key)}"


def mark(name: str) -> str:
    """A thing to be done once."""
    return MARK + hashed(name)


def owner(id: str) -> str:
    """Who made an object. No script touches two of them, so they have no hash tag: a cluster spreads them."""
    return OWNER + hashed(id)


def hashed(name: str) -> str:
    """So that no name can steer a cluster slot or break a key."""
    return blake2b(name.encode(errors="surrogatepass"), digest_size=12).hexdigest()
