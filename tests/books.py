"""All books of a gateway that runs: the ledger, its sums, the limits' counters and the metrics."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from zoneinfo import ZoneInfo

from prometheus_client.parser import text_string_to_metric_families

from gateway.policy.chain import link
from gateway.policy.ledger import SUMS, Row, decode, sums_of
from gateway.policy.quota import applies
from gateway.policy.records import Client, Kind, Limit, Standing, Unit, Window
from gateway.policy.reporting import day_of
from tests.running import Running

_KINDS = ("input", "output", "cached", "reasoning")


async def rows(gateway: Running) -> list[Row]:
    """Every row, oldest first. The chain holds."""
    await gateway.concluded()
    kept = await gateway.app.store.ledger.oldest(None, 100_000)
    before = ""
    for number, each in enumerate(kept, 1):
        assert (each.number, each.hash) == (number, link(before, number, each.row))
        before = each.hash
    return [decode(each.row) for each in kept]


async def row(gateway: Running) -> Row:
    """The only one."""
    (only,) = await rows(gateway)
    return only


async def standings(gateway: Running, client: Client) -> tuple[Standing, ...]:
    await gateway.concluded()
    return await gateway.gateway.holds.standings(client.shard, client.limits, gateway.gateway.clock.now())


async def used(gateway: Running, key: str = "test") -> list[int]:
    """What is used of each of a key's limits, in the order in which they were written; nothing is held."""
    client = gateway.gateway.clients.client(key)
    assert client is not None
    found = await standings(gateway, client)
    assert not any(standing.held for standing in found)
    return [standing.used for standing in found]


async def metric(gateway: Running, name: str, **labels: str) -> Decimal:
    """The sum over all series that have these labels, as exact as it is shown."""
    shown = await gateway.metrics()
    found = [
        Decimal(repr(sample.value))
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found, Decimal(0))


async def nano(gateway: Running, name: str, **labels: str) -> int:
    """The same of dollars, in nano-dollars."""
    return round(await metric(gateway, name, **labels) * 10**9)


async def agree(gateway: Running, clients: Iterable[Client]) -> list[Row]:
    """All books say the same, and nothing is held any more. Returns the ledger's rows.

    `clients` are all that ever asked. Of their limits, those that never forget are compared.
    """
    written = await rows(gateway)
    assert len({(each.id, each.correction) for each in written}) == len(written)
    await _sums_agree(gateway, written)
    await _limits_agree(gateway, written, list(clients))
    await _metrics_agree(gateway, written)
    assert gateway.gateway.open_holds == {}
    return written


async def _sums_agree(gateway: Running, written: list[Row]) -> None:
    days = sorted({day_of(each.time, ZoneInfo("UTC")).isoformat() for each in written})
    by_key: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for each in written:
        by_key[each.key, each.team or ""].update(dict(zip(SUMS, sums_of(each), strict=True)))
    shown: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for one in await gateway.app.store.ledger.sums(days):
        key, team, _ = one.who.split("\t")
        shown[key, team].update(dict(zip(SUMS, one.sums, strict=True)))
    assert shown == by_key


async def _limits_agree(gateway: Running, written: list[Row], clients: list[Client]) -> None:
    for client in clients:
        for standing in await standings(gateway, client):
            limit = standing.limit
            assert standing.held == 0
            assert limit.kind is not Kind.CONCURRENCY or standing.used == 0
            if limit.window is Window.TOTAL:
                least, most = _spent([row for row in written if _falls_under(limit, row)], limit.unit)
                said = least if least == most else f"{least} to {most}"
                assert least <= standing.used <= most, (
                    f"{limit.text} of {limit.scope}: {standing.used}, not {said}"
                )


def _falls_under(limit: Limit, row: Row) -> bool:
    owner, _, name = limit.scope.partition(":")
    mine = {"key": row.key == name, "team": row.team == name}.get(owner, True)
    return mine and applies(limit, [model for model in (row.model, row.sent) if model is not None])


def _spent(mine: list[Row], unit: Unit) -> tuple[int, int]:
    """The least and the most that these rows can have used: the same, where nobody left in between."""
    if unit is Unit.DOLLARS:
        exact = sum(row.cost or 0 for row in mine)
    elif unit is Unit.TOKENS:
        exact = sum(row.input + row.output for row in mine)
    else:
        exact = sum(map(_counts, mine))
        return exact, exact + sum(map(_may_count, mine))
    return exact, exact


def _counts(row: Row) -> bool:
    """Whether something was done for it: it was answered from the cache, or an upstream was asked.

    A response within a WebSocket session is no request of its own.
    """
    if row.correction or _may_count(row) or ("." in row.id and row.endpoint in _SESSIONS):
        return False
    asked = row.upstream is not None and row.error != "upstream_unreachable"
    return row.cache in ("hit", "joined") or asked


def _may_count(row: Row) -> bool:
    """An upstream refused it, or was never sent it: nobody was left to be told which."""
    return (row.status, row.settled) == (499, "none") and row.upstream not in (None, "cache")


_SESSIONS = ("realtime", "responses")


async def _metrics_agree(gateway: Running, written: list[Row]) -> None:
    assert await nano(gateway, "gateway_cost_dollars_total") - await nano(
        gateway, "gateway_refunded_dollars_total"
    ) == sum(each.cost or 0 for each in written)
    served = await metric(gateway, "gateway_requests_total")
    for stranger in ({"endpoint": "other"}, {"status": "401"}):
        served -= await metric(gateway, "gateway_requests_total", **stranger)
    assert served == sum(not each.correction for each in written)
    assert await nano(gateway, "gateway_saved_dollars_total") == sum(each.saved for each in written)
    if any(each.settled == "lease" for each in written):
        return  # what a lease was counted with stays in the counters that know no taking back
    assert await metric(gateway, "gateway_unpriced_requests_total") == sum(
        each.cost is None for each in written
    )
    for kind in _KINDS:
        assert await metric(gateway, "gateway_tokens_total", kind=kind) == sum(
            getattr(each, kind) for each in written
        )
