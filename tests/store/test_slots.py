"""Slots: as a real cluster computes them; and which key of a command counts."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.store.slots import COUNT, Range, key_of, ranges, redirection, slot_of
from tests.store.servers import Cluster

pieces = st.sampled_from([b"{", b"}", b"a", b"tag", b"\x00", b"\xff", "é".encode()])
keys = st.one_of(st.binary(max_size=40), st.lists(pieces, max_size=12).map(b"".join))


@pytest.mark.redis
@given(keys)
@settings(
    max_examples=300,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(b"")
@example(b"{}key")
@example(b"{a}{b}")
@example(b"}{a}")
@example(b"{{a}}")
@example(b"key{a")
def test_slots_are_those_of_the_server(cluster: Cluster, key: bytes) -> None:
    assert slot_of(key) == cluster.nodes[0].ask("CLUSTER", "KEYSLOT", key)


def test_text_and_numbers_are_keys_too() -> None:
    assert slot_of("gw:{é}:x") == slot_of("gw:{é}:x".encode()) == slot_of("é")
    assert slot_of(7) == slot_of(b"7")
    assert 0 <= slot_of("") < COUNT


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "k"), "k"),
        (("EVALSHA", "sha", 2, b"k", "l", "arg"), b"k"),
        (("EVAL", "text", "1", "k"), "k"),
        (("EVAL", "text", 0, "arg"), None),
        (("XINFO", "STREAM", "k"), "k"),
        (("OBJECT", "ENCODING", "k"), "k"),
        (("PING",), None),
        (("TIME",), None),
        (("SCRIPT", "LOAD", "text"), None),
        (("CONFIG", "GET", "maxmemory"), None),
        (("PUBLISH", "channel", "message"), "channel"),
        (("MULTI",), None),
    ],
)
def test_the_first_key_of_a_command_decides(command: tuple[str | bytes | int, ...], key: object) -> None:
    assert key_of(command) == key


def test_masters_are_read_and_replicas_are_not() -> None:
    replica = [b"10.0.0.9", 7009, b"id", []]
    reply = [
        [0, 5460, [b"10.0.0.1", 7000, b"id", []], replica],
        [5461, 9000, [b"", 7001, b"id", []]],
        [9001, 9001, [None, 7002, b"id"], replica],
        [9002, 16383, [b"?", 7003, b"id", [b"hostname", b"x"]]],
    ]
    assert list(ranges(reply, "asked")) == [
        Range(0, 5460, "10.0.0.1", 7000),
        Range(5461, 9000, "asked", 7001),
        Range(9001, 9001, "asked", 7002),
        Range(9002, 16383, "asked", 7003),
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("MOVED 3999 127.0.0.1:6381", ("127.0.0.1", 6381)),
        ("ASK 3999 ::1:6381", ("::1", 6381)),
        ("MOVED 3999 :6381", ("asked", 6381)),
        ("MOVED 3999 host.example:6381 more", ("host.example", 6381)),
    ],
)
def test_a_redirection_names_slot_and_node(text: str, place: tuple[str, int]) -> None:
    assert redirection(text, "asked") == Range(3999, 3999, *place)


@pytest.mark.parametrize("text", ["MOVED", "MOVED x h:1", "ASK 1", "ASK 1 h", "ASK 1 h:x"])
def test_what_is_no_redirection_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|literal"):
        redirection(text, "asked")
