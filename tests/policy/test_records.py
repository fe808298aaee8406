"""What identifies a limit, and what a standing says."""

import dataclasses

import pytest

from gateway.policy.records import Client, KeyRecord, Kind, Limit, Standing, TeamRecord, Unit, Usage, Window

LIMIT = Limit("60 requests/minute", Unit.REQUESTS, 60, Window.MINUTE, scope="key:a")


@pytest.mark.parametrize(
    ("unit", "window", "kind"),
    [
        (Unit.REQUESTS, Window.SECOND, Kind.RATE),
        (Unit.TOKENS, Window.HOUR, Kind.RATE),
        (Unit.TOKENS, Window.DAY, Kind.BUDGET),
        (Unit.DOLLARS, Window.HOUR, Kind.BUDGET),
        (Unit.DOLLARS, Window.TOTAL, Kind.BUDGET),
        (Unit.SLOTS, None, Kind.CONCURRENCY),
    ],
)
def test_kinds(unit: Unit, window: Window | None, kind: Kind) -> None:
    assert Limit("x", unit, 1, window).kind is kind


def test_a_raised_limit_keeps_its_counters_and_every_other_change_has_its_own() -> None:
    raised = dataclasses.replace(LIMIT, amount=100, text="100 requests/minute")
    assert raised.id == LIMIT.id
    changes = [{"scope": "key:b"}, {"unit": Unit.TOKENS}, {"window": Window.HOUR}, {"models": ("gpt-*",)},
               {"shadow": True}]  # fmt: skip
    ids = {dataclasses.replace(LIMIT, **change).id for change in changes}  # type: ignore[arg-type]
    assert len(ids | {LIMIT.id}) == 6


def test_no_name_reaches_a_key_of_the_store() -> None:
    hostile = dataclasses.replace(LIMIT, scope="key:}{\n\0x")
    assert hostile.id.isalnum()


def test_remaining_is_never_negative() -> None:
    assert Standing(LIMIT, used=70, retry_ms=5, reset_ms=9).remaining == 0
    assert Standing(LIMIT, used=70, retry_ms=0, reset_ms=9).fits
    assert not Standing(LIMIT, used=0, retry_ms=-1, reset_ms=9).fits


def test_a_team_shares_its_shard_and_a_lone_key_has_its_own() -> None:
    assert Client("a", "a", b"", team="t").shard == "t"
    assert Client("a", "a", b"").shard == "a"
    assert "digest" not in repr(Client("a", "a", b"secret"))


def test_usage_adds_up_and_records_share_no_list() -> None:
    assert Usage(input=3, output=4, cached=2).total == 7
    one, two = KeyRecord("a", "a", ""), KeyRecord("b", "b", "")
    one.models.append("x")
    assert two.models == ["*"]
    assert TeamRecord("t").models == ["*"]
