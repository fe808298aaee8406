"""The hold of an exchange: claims are taken for it, it is dispatched, and it ends.

What the store cannot be told, the journal keeps until it can.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from gateway.accounts import lease_record
from gateway.away.journal import Pending
from gateway.errors import StoreUnavailable
from gateway.exchange import Exchange
from gateway.policy.ledger import leased_cost
from gateway.policy.quota import refusal, shadow_refusals
from gateway.policy.records import Claim, Client, Kind, Record, Unit, Verdict
from gateway.runtime import Gateway
from gateway.store.base import Ended


async def hold(gateway: Gateway, exchange: Exchange, step: str, claims: Sequence[Claim]) -> None:
    """Add all of these claims to the exchange's hold, or none.

    Sets `hold`, `held`, `claims`, `standings`, `shadowed` and, where the store is away and what is asked fits
    into this process's share, `shared`. Raises RateLimited or QuotaExceeded with the limit's name, or
    StoreUnavailable.
    """
    client = exchange.client
    if not claims or client is None:
        return
    held_before = exchange.held
    # The name comes first: whoever is cancelled inside the call can still give back what it took.
    exchange.hold, exchange.held = exchange.id, True
    verdict = await _verdict(gateway, exchange, client, step, claims)
    _judge(gateway, exchange, client, claims, verdict, held_before)


async def enter(
    gateway: Gateway,
    exchange: Exchange,
    admit: Sequence[Claim],
    answer: Sequence[Claim],
    *,
    key: bytes | None,
    record: Record | None,
) -> bytes | None:
    """The answer kept under `key`; or None, and then everything is as after `dispatch`: one round trip.

    As `hold` of the claims to admit; and where no answer is kept, as `hold` of those to answer and `dispatch`
    with `record`. Sets what they set, and raises what they raise. Only where `gateway.holds.can_enter`.
    """
    client = exchange.client
    assert client is not None
    now, lease = gateway.clock.now(), gateway.settings.store.lease.ms
    held_before = exchange.held
    exchange.hold, exchange.held = exchange.id, True
    exchange.claimed = exchange.claimed or now
    try:
        entered = await gateway.holds.enter(
            client.shard, exchange.hold, admit, answer, now, lease, key=key, record=record
        )
    except StoreUnavailable as error:
        _enter_by_share(gateway, exchange, client, admit, answer, held_before, error)
        gateway.holds.dispatch(client.shard, exchange.hold, now, lease, record)
    else:
        _note(gateway, exchange, admit, entered.admitted, now)
        _judge(gateway, exchange, client, admit, entered.admitted, held_before)
        if entered.reserved is None:
            return entered.entry
        _note(gateway, exchange, answer, entered.reserved, now)
        _judge(gateway, exchange, client, answer, entered.reserved, exchange.held)
    _intend(gateway, exchange, client, record)
    return None


def _enter_by_share(
    gateway: Gateway,
    exchange: Exchange,
    client: Client,
    admit: Sequence[Claim],
    answer: Sequence[Claim],
    held_before: bool,
    error: StoreUnavailable,
) -> None:
    """What this process may admit by itself; raises the error where only the store may decide.

    The store is not asked again: it may have heard the first time.
    """
    for step, claims in (("admit", admit), ("reserve", answer)):
        if claims:
            shared = gateway.share.reserve(exchange.hold, step, claims, gateway.clock.now())
            if shared is None:
                raise error
            exchange.shared = True
            _judge(gateway, exchange, client, claims, shared, held_before)
            held_before = True


def _judge(
    gateway: Gateway,
    exchange: Exchange,
    client: Client,
    claims: Sequence[Claim],
    verdict: Verdict,
    held_before: bool,
) -> None:
    """The claims are the exchange's, or it is refused, and has no more than before."""
    exchange.standings += verdict.standings
    exchange.shadowed += tuple(shadow_refusals(verdict.standings))
    if not verdict.admitted:
        exchange.held = held_before
        if any(s.limit.kind is Kind.BUDGET and not s.fits for s in verdict.standings):
            gateway.alerts.refused(client, verdict.standings)
        raise refusal(verdict.standings, claims)
    exchange.held = held_before or bool(claims)
    if claims:
        exchange.claims += tuple(claims)
        gateway.open_holds[exchange.hold] = client.shard


async def _verdict(
    gateway: Gateway, exchange: Exchange, client: Client, step: str, claims: Sequence[Claim]
) -> Verdict:
    now, lease = gateway.clock.now(), gateway.settings.store.lease.ms
    exchange.claimed = exchange.claimed or now
    try:
        verdict = await gateway.holds.reserve(client.shard, exchange.hold, step, claims, now, lease)
    except StoreUnavailable:
        shared = gateway.share.reserve(exchange.hold, step, claims, now)
        if shared is None:
            raise
        exchange.shared = True
        return shared
    _note(gateway, exchange, claims, verdict, now)
    return verdict


def _note(gateway: Gateway, exchange: Exchange, claims: Sequence[Claim], verdict: Verdict, now: int) -> None:
    """The store has spoken: this process's share hears it."""
    gateway.share.seen(verdict.standings, now)
    if verdict.admitted:
        gateway.share.took(exchange.hold, claims)


def dispatch(gateway: Gateway, exchange: Exchange) -> None:
    """From here on the upstream may be paid: the store knows at what cost, if nobody lives to settle it."""
    client = exchange.client
    assert client is not None
    now, lease = gateway.clock.now(), gateway.settings.store.lease.ms
    record = lease_record(gateway, exchange)
    gateway.holds.dispatch(client.shard, exchange.id, now, lease, record)
    _intend(gateway, exchange, client, record)


def _intend(gateway: Gateway, exchange: Exchange, client: Client, record: Record | None) -> None:
    """It is dispatched: it has a lease that is to be renewed, and where the store may not know, a note."""
    exchange.hold, exchange.held = exchange.id, True
    gateway.open_holds[exchange.hold] = client.shard
    if record is not None and (exchange.shared or not gateway.trusts_store()):
        spent = {Unit.TOKENS: sum(record.sums[1:3]), Unit.DOLLARS: exchange.worst or 0}
        gateway.journal.intend(_pending(gateway, exchange, client, spent, record))


async def settle(gateway: Gateway, exchange: Exchange, spent: Mapping[Unit, int], record: Record) -> None:
    """Charge what was spent, and write the row."""
    client = exchange.client
    assert client is not None
    now = gateway.clock.now()
    gateway.share.settle(exchange.id, spent, now)
    try:
        ended = await gateway.holds.settle(
            *(client.shard, exchange.id, spent, now, record), claims=exchange.claims, claimed=exchange.claimed
        )
    except StoreUnavailable:
        gateway.journal.keep(_pending(gateway, exchange, client, spent, record))
    else:
        _told(gateway, exchange, ended, record)


async def release(gateway: Gateway, exchange: Exchange, record: Record) -> None:
    """Give everything back. A store that is away gives it back by itself, at the lease's end."""
    client = exchange.client
    assert client is not None
    now = gateway.clock.now()
    gateway.share.release(exchange.id, now)
    try:
        ended = await gateway.holds.release(client.shard, exchange.id, now, record)
    except StoreUnavailable:
        if exchange.lease_row is not None:  # it was dispatched, and then nothing could be sent
            pending = _pending(gateway, exchange, client, {}, record)
            gateway.journal.keep(replace(pending, released=True))
    else:
        _told(gateway, exchange, ended, record)


def _told(gateway: Gateway, exchange: Exchange, ended: Ended, record: Record) -> None:
    gateway.journal.forget(exchange.id)
    if ended is Ended.LATE:
        gateway.telemetry.refunded(leased_cost(record))


def _pending(
    gateway: Gateway, exchange: Exchange, client: Client, spent: Mapping[Unit, int], record: Record
) -> Pending:
    return Pending(
        shard=client.shard,
        hold=exchange.id,
        spent=spent,
        at=gateway.clock.now(),
        record=record,
        claims=exchange.claims,
        claimed=exchange.claimed,
    )
