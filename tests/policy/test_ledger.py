"""What a row says, what it adds to its sums, and that corrections and leases add up to the truth."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.ledger import SUMS, Row, decode, encode, record_of, sums_of, who_of, who_was

counts = st.integers(0, 10**9)


@st.composite
def answers(draw: st.DrawFn) -> Row:
    cost = draw(st.one_of(st.none(), counts))
    return Row(
        id="r1",
        time=1,
        key="k1",
        endpoint="chat.completions",
        status=draw(st.sampled_from((200, 429, 502))),
        input=draw(counts),
        output=draw(counts),
        cached=draw(counts),
        cost=cost,
    )


@given(answers())
def test_a_row_reads_as_it_was_written(row: Row) -> None:
    assert decode(encode(row)) == row


def test_what_is_no_row_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(b"{}")


@given(answers(), answers())
def test_a_lease_and_its_correction_add_up_to_the_answer(row: Row, lease: Row) -> None:
    if row.cost is None or lease.cost is None:
        row, lease = (msgspec.structs.replace(one, cost=one.cost or 0) for one in (row, lease))
    lease = msgspec.structs.replace(lease, status=row.status)
    record = record_of(row, "2026-11-22", "m", (lease, "other"))
    assert tuple(map(sum, zip(sums_of(lease), record.late_sums, strict=True))) == sums_of(row)
    assert decode(record.late).correction
    assert not decode(record.row).correction


def test_a_record_of_a_lease_has_no_correction() -> None:
    assert record_of(Row(id="r", time=1, key="k", endpoint="e"), "2026-11-22", None).late == b""


def test_what_nobody_knows_the_price_of_is_counted_as_that() -> None:
    sums = dict(
        zip(SUMS, sums_of(Row(id="r", time=1, key="k", endpoint="e", cost=None, cache="hit")), strict=True)
    )
    assert sums["unpriced"] == 1
    assert sums["cost"] == 0
    assert sums["hits"] == 1


@given(st.from_regex(r"[a-z0-9]{12}", fullmatch=True), st.sampled_from((None, "research", "a b")))
def test_who_reads_back(key: str, team: str | None) -> None:
    assert who_was(who_of(key, team, "gpt-6-luna")) == (key, team or "", "gpt-6-luna")
