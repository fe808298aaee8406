"""What was seen last is remembered, within a bound."""

from gateway.recent import Recent


def test_the_oldest_goes_first() -> None:
    recent = Recent(2)
    for key in (b"a", b"b", b"a", b"c"):
        recent.add(key)
    assert [key in recent for key in (b"a", b"b", b"c")] == [False, True, True]
    assert len(recent) == 2


def test_what_is_discarded_is_forgotten_and_need_not_have_been_known() -> None:
    recent = Recent(2)
    recent.add(b"a")
    recent.discard(b"a")
    recent.discard(b"b")
    assert b"a" not in recent
    assert len(recent) == 0
