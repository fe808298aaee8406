"""Keys of which something has lately been seen to be so."""


class Recent:
    """At most so many; where one more comes, the oldest goes."""

    __slots__ = ("_keys", "_most")

    def __init__(self, most: int) -> None:
        self._keys: dict[bytes, None] = {}
        self._most = most

    def add(self, key: bytes) -> None:
        keys = self._keys
        if key not in keys:
            if len(keys) >= self._most:
                del keys[next(iter(keys))]
            keys[key] = None

    def discard(self, key: bytes) -> None:
        self._keys.pop(key, None)

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<Recent {len(self._keys)} of {self._most}>"
