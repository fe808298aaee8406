"""Hash slots of Redis Cluster: which slot a key, a command and a redirection belong to.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from binascii import crc_hqx
from collections.abc import Iterator
from typing import Any, NamedTuple

COUNT = 16384

# Where the first key stands; without an entry it is the first argument.
_KEY_AT = {"EVAL": 3, "EVALSHA": 3, "MEMORY": 2, "OBJECT": 2, "XINFO": 2}
_KEYLESS = frozenset(
    ("ACL", "CLIENT", "CLUSTER", "CONFIG", "DBSIZE", "ECHO", "FLUSHALL", "FLUSHDB", "INFO", "PING", "ROLE",
     "SCAN", "SCRIPT", "TIME", "WAIT", "WAITAOF")
)  # fmt: skip


def slot_of(key: str | bytes | int) -> int:
    """CRC16 (XMODEM) of the hash tag, or of the whole key where it has none, modulo 16384."""
    name = key if isinstance(key, bytes) else str(key).encode()
    start = name.find(b"{")
    if start >= 0 and (end := name.find(b"}", start + 1)) > start + 1:
        name = name[start + 1 : end]
    return crc_hqx(name, 0) % COUNT


def key_of(command: tuple[str | bytes | int, ...]) -> str | bytes | int | None:
    """The first key of a command whose name is written in capitals. None: it has none."""
    name = command[0]
    if name in _KEYLESS:
        return None
    at = _KEY_AT.get(name, 1) if isinstance(name, str) else 1
    if len(command) <= at or (at == 3 and not int(command[2])):
        return None
    return command[at]


class Range(NamedTuple):
    """The slots from `first` to `last`, both included, and the node that serves them."""

    first: int
    last: int
    host: str
    port: int


def ranges(reply: Any, asked: str) -> Iterator[Range]:
    """`CLUSTER SLOTS`, the masters alone. `asked` is the host that said so: nodes may leave out their own."""
    for first, last, master, *_ in reply:
        host = (master[0] or b"").decode()
        yield Range(int(first), int(last), host if host not in ("", "?") else asked, int(master[1]))


def redirection(text: str, asked: str) -> Range:
    """`MOVED 3999 127.0.0.1:6381`, or ASK. Raises ValueError."""
    _, slot, endpoint = text.split(" ")[:3]
    host, _, port = endpoint.rpartition(":")
    return Range(int(slot), int(slot), host or asked, int(port))
