"""What a request asks of its client's limits, and how a refusal and the limits' headers read."""

from collections.abc import Iterator, Sequence

from gateway.errors import GatewayError, InternalError, QuotaExceeded, RateLimited
from gateway.policy.facts import Facts
from gateway.policy.limits import parse_limit, parse_limits, unsupported
from gateway.policy.patterns import matches
from gateway.policy.records import Claim, Client, Kind, Limit, Standing, Unit, Window

__all__ = [
    "applies",
    "claims_to_admit",
    "claims_to_answer",
    "duration",
    "matches",
    "parse_limit",
    "parse_limits",
    "ratelimit_headers",
    "refusal",
    "unsupported",
]

# Who has to wait longer than this is told not to retry: a client library would sleep in silence, or give up.
_PATIENCE_MS = 60_000


def applies(limit: Limit, model: str | None) -> bool:
    """Whether the limit holds for a request for this model. One that names models leaves others alone."""
    return not limit.models or (model is not None and matches(limit.models, model))


def claims_to_admit(client: Client, model: str | None) -> list[Claim]:
    """One request and one slot, of every limit on either that holds for this model."""
    return [
        Claim(limit, 1, held=False)
        for limit in client.limits
        if limit.unit in (Unit.REQUESTS, Unit.SLOTS) and applies(limit, model)
    ]


def claims_to_answer(
    client: Client, facts: Facts, model: str | None, input_tokens: int, output_cap: int
) -> list[Claim]:
    """The most tokens that a request can cost: its input, and each choice's bound, or else `output_cap`.

    Where the client gave no bound, a rate is asked for no more than it holds, so that an idle one always
    admits; what is spent beyond that is a debt which leaks off. A budget is asked for everything.
    """
    bound = output_cap if facts.max_output is None else facts.max_output
    tokens = input_tokens + facts.n * bound
    return [
        Claim(limit, _asked(limit, tokens, facts.max_output is None), held=True)
        for limit in client.limits
        if limit.unit is Unit.TOKENS and applies(limit, model)
    ]


def _asked(limit: Limit, tokens: int, guessed: bool) -> int:
    return min(tokens, limit.amount) if guessed and limit.kind is Kind.RATE else tokens


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
    yield f"The limit '{limit.text}' of {_owner(limit.scope)} is reached."
    if limit.kind is Kind.CONCURRENCY:
        yield f"{standing.used} of {limit.amount} requests are under way: wait for one of them to end."
        return
    if limit.unit is Unit.TOKENS:
        yield f"This request asks for up to {asked} tokens, and {standing.remaining} are left."
    if asked > limit.amount:
        yield "It can never fit: send max_tokens, or a smaller one, or a shorter prompt."
    elif standing.retry_ms < 0 or limit.window is Window.TOTAL:
        yield "It does not refill: ask for a larger limit."
    elif limit.unit is Unit.TOKENS and asked > 0:
        yield f"Try again in {duration(standing.retry_ms)}, or send a smaller max_tokens."
    else:
        yield f"Try again in {duration(standing.retry_ms)}."


def _owner(scope: str) -> str:
    kind, _, name = scope.partition(":")
    return {"key": "this key", "team": f"the team '{name}'"}.get(kind, "the gateway")


def ratelimit_headers(standings: Sequence[Standing]) -> list[tuple[str, str]]:
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}` for the client's tightest limit on each."""
    headers: list[tuple[str, str]] = []
    for unit in (Unit.REQUESTS, Unit.TOKENS):
        ours = [s for s in standings if s.limit.unit is unit and not s.limit.shadow]
        if ours:
            tightest = min(ours, key=lambda s: (s.remaining / s.limit.amount, s.remaining))
            headers += [
                (f"x-ratelimit-limit-{unit}", str(tightest.limit.amount)),
                (f"x-ratelimit-remaining-{unit}", str(tightest.remaining)),
                (f"x-ratelimit-reset-{unit}", duration(tightest.reset_ms)),
            ]
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
