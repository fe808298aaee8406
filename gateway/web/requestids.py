"""The names of requests: unguessable, and drawn in handfuls."""

import os

_SIZE = 32  # hexadecimal digits: 128 bits
_AT_ONCE = 256  # a system call for each would be 0.5 µs of a request; this way it is 0.1

_drawn: list[str] = []


def request_id() -> str:
    """128 random bits in hexadecimal, never given twice."""
    if not _drawn:
        digits = os.urandom(_AT_ONCE * _SIZE // 2).hex()
        _drawn.extend(digits[at : at + _SIZE] for at in range(0, len(digits), _SIZE))
    return _drawn.pop()


# Workers are forked from one process: each would give what the others do.
os.register_at_fork(after_in_child=_drawn.clear)
