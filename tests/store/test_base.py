"""The protocols and what implements them; the contract itself is `test_contract.py`."""

from gateway.store import base
from gateway.store.answers import RedisAnswers
from gateway.store.holds import RedisHolds
from gateway.store.keys import RedisKeys
from gateway.store.ledger import RedisLedger
from gateway.store.marks import RedisMarks
from gateway.store.owners import RedisOwners
from gateway.store.redis import RedisStore


def parts(
    store: RedisStore,
) -> tuple[base.Store, base.Holds, base.Answers, base.Keys, base.Ledger, base.Marks, base.Owners]:
    """mypy checks that this holds."""
    return store, store.holds, store.answers, store.keys, store.ledger, store.marks, store.owners


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_nothing_that_is_promised_is_missing_and_nothing_else_is_offered() -> None:
    for promise, kept in (
        *((base.Holds, RedisHolds), (base.Answers, RedisAnswers), (base.Keys, RedisKeys)),
        *((base.Ledger, RedisLedger), (base.Marks, RedisMarks)),
        (base.Owners, RedisOwners),
    ):
        assert public(promise) == public(kept)
    parts = {"holds", "answers", "keys", "ledger", "marks", "owners"}
    assert public(base.Store) - parts == public(RedisStore)
