"""Which shares of a budget are to be told, and in which words."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from gateway.policy.money import dollars
from gateway.policy.records import Limit, Standing, Unit
from gateway.policy.windows import Span

WHOLE: Final = 100
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_YEAR_MS: Final = 365 * _DAY_MS


@dataclass(frozen=True, slots=True)
class Notice:
    """`share` percent of a budget are used in the window `span`; told once.

    `used` is what was spent, in the limit's unit, without what open requests have reserved. `refused`: a
    request was refused, which counts as the whole of a budget although it is rarely hit exactly.
    """

    limit: Limit
    share: int
    used: int
    span: Span
    refused: bool = False

    @property
    def name(self) -> str:
        """What is told once. The amount is part of it: a limit that is changed is told about anew."""
        return f"alert:{self.limit.id}:{self.limit.amount}:{self.span.id}:{self.share}"

    @property
    def id(self) -> str:
        """The same wherever and however often it is sent."""
        return "evt_" + hashlib.blake2b(self.name.encode(), digest_size=12).hexdigest()

    def ttl(self, now: int) -> int:
        """How long (ms) to remember that it was told: past the window's end, or for a year."""
        return _YEAR_MS if self.span.end is None else max(0, self.span.end - now) + _DAY_MS

    def stale(self, now: int) -> bool:
        """Its window has been over for so long that nobody can act on it."""
        return self.span.end is not None and now >= self.span.end + _HOUR_MS


def due(standing: Standing, span: Span, shares: Iterable[int]) -> list[Notice]:
    """The shares (percent) that this budget has reached, in order."""
    used, amount = settled(standing), standing.limit.amount
    refused = exhausted(standing)
    return [
        Notice(standing.limit, share, used, span, refused and used * WHOLE < share * amount)
        for share in sorted(set(shares))
        if used * WHOLE >= share * amount or (refused and share == WHOLE)
    ]


def settled(standing: Standing) -> int:
    """What was spent. Open requests reserve their worst case, and give most of it back."""
    return standing.used - standing.held


def exhausted(standing: Standing) -> bool:
    """Whether a budget refused a request for what was spent of it.

    A request that is larger than the whole budget is none of its business, and one that others, still under
    way, have left no room for may fit in a moment.
    """
    asked, amount = standing.asked, standing.limit.amount
    return not standing.fits and asked <= amount < settled(standing) + asked


class _Payload(msgspec.Struct):
    event: str
    id: str
    share: int
    limit: str
    scope: str
    used: str
    amount: str
    unit: str
    window_ends: str | None
    mode: str
    refused: bool
    sent_at: str
    text: str


def payload(notice: Notice, now: int) -> bytes:
    """The notice as JSON. `text` is what Slack and Mattermost show of it."""
    limit = notice.limit
    return msgspec.json.encode(
        _Payload(
            event="budget",
            id=notice.id,
            share=notice.share,
            limit=limit.text,
            scope=limit.scope,
            used=_number(limit, notice.used),
            amount=_number(limit, limit.amount),
            unit=limit.unit.value,
            window_ends=None if notice.span.end is None else _iso(notice.span.end),
            mode="shadow" if limit.shadow else "enforce",
            refused=notice.refused,
            sent_at=_iso(now),
            text=" ".join(_sentences(notice)),
        )
    )


def _sentences(notice: Notice) -> Iterable[str]:
    limit = notice.limit
    sign, unit = ("$", "") if limit.unit is Unit.DOLLARS else ("", f" {limit.unit}")
    used, amount = (sign + _number(limit, count) for count in (notice.used, limit.amount))
    what = f"{_code(limit.text)} of {_code(limit.scope)}"
    if notice.refused:
        yield f"{what} is exhausted: a request was refused with {used} of {amount}{unit} used."
    else:
        yield f"{what} has reached {notice.share} %: {used} of {amount}{unit} used."
    if notice.span.end is not None:
        yield f"A new window begins at {_iso(notice.span.end)}."
    if limit.shadow:
        yield "It is in shadow mode: nothing is refused."


def _number(limit: Limit, count: int) -> str:
    """Exact, in dollars or whole numbers: `4.02`, `5`, `120000`."""
    return dollars(count) if limit.unit is Unit.DOLLARS else str(count)


def _code(text: str) -> str:
    """As a name that is shown and not understood: `@here` in a name calls nobody.

    https://docs.slack.dev/messaging/formatting-message-text asks for these three to be escaped.
    """
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("`", "'")):
        text = text.replace(character, escaped)
    return f"`{text}`"


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
