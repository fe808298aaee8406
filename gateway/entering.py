"""One round trip instead of three: the store is asked at once for all that a request will need of it.

What `reserve` would ask for is worked out before `admit`, where that is certain; then one call of the store
admits the request, looks its answer up and, where there is none, reserves and dispatches it. Where it is not
certain, or somebody asks the same already (who joins reserves nothing), the stages ask one by one.
"""

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from gateway import holding
from gateway.accounts import lease_record, metered, worst_output
from gateway.demands import claims_for
from gateway.errors import GatewayError, NotPriced, StoreUnavailable
from gateway.exchange import Exchange
from gateway.policy import frozen
from gateway.policy.endpoints import Charge
from gateway.policy.facts import Facts
from gateway.policy.quota import terms
from gateway.policy.records import Claim, Client, Record
from gateway.runtime import Gateway
from gateway.sized import claims_by_size

_T = TypeVar("_T")

# More than that is counted in a thread, or not at all where nobody limits tokens.
_COUNTED_AT_ONCE = 50_000  # bytes


@frozen.dataclass(frozen=True, slots=True)
class Entering:
    """What the store is asked for. `key` None: no answer is looked up."""

    key: bytes | None
    claims: Sequence[Claim]
    record: Record


def foresee(gateway: Gateway, exchange: Exchange, key: bytes | None) -> Entering | None:
    """What to ask for, where nobody is being answered who could be joined; `key` is looked up.

    Sets `worst_output`, `worst`, `input_tokens` and `lease_row`, as `reserve` and `forward` would. None: it
    is not certain, or the store cannot be asked like that.
    """
    client, facts, endpoint = exchange.client, exchange.facts, exchange.endpoint
    assert client is not None
    if not gateway.holds.can_enter or not gateway.trusts_store():
        return None
    if facts is None or endpoint.charge is Charge.FEE or not (endpoint.judged and metered(exchange)):
        return None
    if exchange.upload is not None or not gateway.upstreams.plan(exchange.sent_model):
        return None
    exchange.worst_output = worst_output(gateway, exchange)
    claims: list[Claim] | None = []
    if terms(client, exchange.models).spent:
        try:
            claims = _claims(gateway, exchange, client, facts)
        except NotPriced:
            return None
    if claims is None:
        return None
    if exchange.cache_key is not None:
        exchange.cache = "miss"  # in the row, if nobody lives to write another
    return Entering(key, claims, lease_record(gateway, exchange))


async def enter(
    gateway: Gateway, exchange: Exchange, entering: Entering, admit: Sequence[Claim]
) -> bytes | None:
    """The answer that is kept, sealed, or None. Sets what `hold` sets for both steps, and `entered`.

    Raises what `hold` raises: for what is admitted, or, where no answer is kept, for what is reserved.
    """
    asked, key, record = entering.claims, entering.key, entering.record
    try:
        kept = await holding.enter(gateway, exchange, admit, asked, key=key, record=record)
    except StoreUnavailable:
        exchange.cache = "bypass"
        raise
    except GatewayError:
        exchange.lease_row = None
        if admit and not exchange.claims:  # not even admitted
            exchange.cache = "bypass"
        raise
    exchange.entered = kept is None
    if not exchange.entered:
        exchange.lease_row = None
    return kept


def _claims(gateway: Gateway, exchange: Exchange, client: Client, facts: Facts) -> list[Claim] | None:
    """What `reserve` would claim; None: that takes time to find out. Raises NotPriced."""
    by_size = claims_by_size(gateway, exchange, client, facts)
    if by_size is not None or len(exchange.body) > _COUNTED_AT_ONCE:
        return by_size
    tokens = _at_once(gateway.tokens.input_of(exchange))
    return None if tokens is None else claims_for(gateway, exchange, client, facts, tokens)


def _at_once(work: Coroutine[Any, Any, _T]) -> _T | None:
    """What it returns without having to wait. None: it would wait, and is given up."""
    try:
        work.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    work.close()
    return None
