"""Quotas in words: how a refusal and the limits' headers read. What is asked of them is in `claims`."""

from collections.abc import Iterator, Sequence

from gateway.errors import GatewayError, InternalError, QuotaExceeded, RateLimited
from gateway.policy.claims import (
    Demand,
    applies,
    cap_of,
    claims_to_admit,
    claims_to_answer,
    negligible,
    terms,
)
from gateway.policy.limits import owner_of, parse_limit, parse_limits
from gateway.policy.money import dollars
from gateway.policy.patterns import matches
from gateway.policy.records import Claim, Kind, Standing, Unit, Window

__all__ = [
    "Demand",
    "applies",
    "cap_of",
    "claims_to_admit",
    "claims_to_answer",
    "duration",
    "matches",
    "negligible",
    "parse_limit",
    "parse_limits",
    "ratelimit_headers",
    "refusal",
    "shadow_refusals",
    "terms",
]

# Who has to wait longer than this is told not to retry: a client library would sleep in silence, or give up.
_PATIENCE_MS = 60_000
_CENT = 10**7  # nano-dollars
_STEP = _CENT // 100
_HEADERS = tuple(
    (unit, *(f"x-ratelimit-{what}-{unit}" for what in ("limit", "remaining", "reset")))
    for unit in (Unit.REQUESTS, Unit.TOKENS)
)


def refusal(standings: Sequence[Standing], claims: Sequence[Claim]) -> GatewayError:
    """Why the claims were refused: the limit that takes longest to clear, in words, with what to do.

    RateLimited for rates and concurrency, QuotaExceeded for budgets. A client is told not to retry where
    waiting a minute does not help.
    """
    full = [standing for standing in standings if not standing.fits and not standing.limit.shadow]
    if not full:
        return InternalError("The quota of this request could not be reserved.")
    worst = max(full, key=lambda standing: (standing.retry_ms < 0, standing.retry_ms))
    limit = worst.limit
    asked = next((claim.amount for claim in claims if claim.limit == limit), 0)
    retry_ms = worst.retry_ms if worst.retry_ms > 0 else None
    message = " ".join(_sentences(worst, asked))
    if limit.kind is Kind.BUDGET:
        return QuotaExceeded(message, retry_ms=retry_ms, should_retry=False)
    soon = retry_ms is not None and retry_ms <= _PATIENCE_MS
    return RateLimited(message, retry_ms=retry_ms, should_retry=None if soon else False)


def _sentences(standing: Standing, asked: int) -> Iterator[str]:
    limit = standing.limit
    yield f"The limit '{limit.text}' of {owner_of(limit)} is reached."
    if limit.kind is Kind.CONCURRENCY:
        yield f"{standing.used} of {limit.amount} requests are under way: wait for one of them to end."
        return
    if limit.unit is Unit.TOKENS:
        yield f"This request asks for up to {asked} tokens, and {standing.remaining} are left."
    if limit.unit is Unit.DOLLARS:
        most, left = _money(asked, up=True), _money(standing.remaining)
        yield f"This request can cost up to {most}, and {left} is left."
    yield _what_to_do(standing, asked)


def _what_to_do(standing: Standing, asked: int) -> str:
    limit = standing.limit
    spends = limit.unit in (Unit.TOKENS, Unit.DOLLARS) and asked > 0
    cheaper = ", or ask a cheaper model" if limit.unit is Unit.DOLLARS else ""
    if asked > limit.amount:
        return f"It can never fit: send max_tokens, or a smaller one, or a shorter prompt{cheaper}."
    smaller = f", or send a smaller max_tokens{cheaper}" if spends else ""
    if standing.retry_ms < 0 or limit.window is Window.TOTAL:
        return f"It does not refill: ask for a larger limit{smaller if standing.remaining else ''}."
    return f"Try again in {duration(standing.retry_ms)}{smaller}."


def _money(nano: int, *, up: bool = False) -> str:
    """Dollars with cents at least: to a hundredth of a cent, smaller amounts as they are.

    What is asked is rounded up and what is left down, so that they never read as if it had fitted.
    """
    if nano >= _CENT:
        nano = (-(-nano // _STEP) if up else nano // _STEP) * _STEP
    whole, _, fraction = dollars(nano).partition(".")
    return f"${whole}.{fraction.ljust(2, '0')}"


def shadow_refusals(standings: Sequence[Standing]) -> list[str]:
    """The limits in shadow mode, as written, that would have refused what was asked of them."""
    return [standing.limit.text for standing in standings if standing.limit.shadow and not standing.fits]


def ratelimit_headers(standings: Sequence[Standing]) -> list[tuple[str, str]]:
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}` for the client's tightest limit on each."""
    headers: list[tuple[str, str]] = []
    for unit, limit_name, remaining_name, reset_name in _HEADERS:
        tightest, least = None, (0.0, 0)
        for standing in standings:
            limit = standing.limit
            if limit.unit is unit and not limit.shadow:
                remaining = standing.remaining
                left = (remaining / limit.amount, remaining)
                if tightest is None or left < least:
                    tightest, least = standing, left
        if tightest is not None:
            headers += (
                (limit_name, str(tightest.limit.amount)),
                (remaining_name, str(least[1])),
                (reset_name, duration(tightest.reset_ms)),
            )
    return headers


def duration(ms: int) -> str:
    """As OpenAI writes it: `59ms`, `1s`, `1.5s`, `6m0s`, `1h0m0s`."""
    if 0 < ms < 1000:
        return f"{ms}ms"
    minutes, rest = divmod(max(ms, 0), 60_000)
    seconds = f"{rest / 1000:g}s"
    if not minutes:
        return seconds
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}"
