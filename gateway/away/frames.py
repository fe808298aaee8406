"""How the journal is written: one line for each thing noted, so that a damaged one spoils no other.

A line is the CRC-32 of its text in eight hexadecimal digits, a space, the text (JSON), and a newline.
"""

from collections.abc import Mapping
from typing import Final
from zlib import crc32

import msgspec

from gateway.policy.records import Claim, Record, Unit

_HEAD: Final = 9  # the digits and the space


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="pending"):
    """What the store is to be told about a hold as soon as it answers.

    `spent` is what its request used; None: the worst that it can have used, which is what its claims ask for.
    `at` is when it ended (ms), `claims` is what it is made of, since `claimed` (ms). `dispatched`: noted
    when an upstream was asked, and true only if the process died before the request ended. `released`:
    nothing was done for it, and all of it is to be given back.
    """

    shard: str
    hold: str
    at: int
    spent: Mapping[Unit, int] | None = None
    record: Record | None = None
    claims: tuple[Claim, ...] = ()
    claimed: int = 0
    dispatched: bool = False
    released: bool = False

    def charge(self) -> dict[Unit, int]:
        if self.spent is not None:
            return dict(self.spent)
        worst: dict[Unit, int] = {}
        for claim in self.claims:
            if claim.held:
                worst[claim.limit.unit] = max(worst.get(claim.limit.unit, 0), claim.amount)
        return worst


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The hold that was noted as dispatched needs nothing any more."""

    hold: str


class Upto(msgspec.Struct, frozen=True, tag="upto"):
    """What stands before this offset of the file has been replayed."""

    offset: int


Frame = Pending | Ended | Upto

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Pending | Ended | Upto)


def encode(frame: Frame) -> bytes:
    text = _encode(frame)
    return b"%08x %s\n" % (crc32(text), text)


def decode(line: bytes) -> Frame:
    """A line without its newline. Raises ValueError for one that is not as it was written."""
    text = line[_HEAD:]
    if line[:_HEAD] != b"%08x " % crc32(text):
        raise ValueError("the line is damaged")
    return _decoder.decode(text)
