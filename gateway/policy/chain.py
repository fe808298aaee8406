"""The ledger's chain: each row's hash covers its text and the hash of the row before.

Whoever changes, inserts or takes out a row of the past has to change every hash that follows. SHA-1, because
that is what a script inside Redis can compute while it writes the row; a chain needs that nobody can make a
second text for a given hash, which SHA-1 still withstands.
"""

import hashlib


def link(previous: str, number: int, row: bytes) -> str:
    """The hash of row `number` (from 1), in hexadecimal. `previous` is "" for the first row."""
    return hashlib.sha1(b"%s\n%d\n%s" % (previous.encode(), number, row), usedforsecurity=False).hexdigest()
