import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidKey
from gateway.policy.credentials import (
    new_admin_key,
    new_key,
    parse_network,
    presented_key,
    public_id,
    same,
    valid_address,
)


@given(st.binary(min_size=4, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_new_key_tells_its_public_id_and_nothing_else(public: bytes, secret: bytes) -> None:
    made = new_key(public, secret)
    assert made.key.split("-")[:3] == ["sk", "gw", made.id]
    assert made.key.count("-") == 3
    assert len(made.key.split("-")[3]) == 43
    assert made.digest == hashlib.sha256(made.key.encode()).hexdigest()
    assert public_id(made.key) == made.id
    assert made.key not in repr(made)
    assert presented_key([f"Bearer {made.key}"], []) == made.key.encode()


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_different_secrets_are_different_keys(a: bytes, b: bytes) -> None:
    assert (new_key(b"1234", a).key == new_key(b"1234", b).key) == (a == b)


def test_an_admin_key_is_no_client_key() -> None:
    made = new_admin_key(bytes(32))
    assert made.key.startswith("sk-gw-admin-")
    assert public_id(made.key) is None


@pytest.mark.parametrize(
    ("public", "secret"), [(b"", bytes(32)), (b"1234", bytes(31)), (b"1" * 33, bytes(32))]
)
def test_too_little_entropy_is_a_programming_error(public: bytes, secret: bytes) -> None:
    with pytest.raises(ValueError, match="random bytes"):
        new_key(public, secret)


@pytest.mark.parametrize(
    "presented",
    [
        "",
        "sk-proj-abc",
        "sk-gw-",
        "sk-gw-01234567",
        "sk-gw-01234567-",
        "sk-gw-0123\n567-x",
        "sk-gw-01234567-a-b",
    ],
)
def test_what_is_no_key_of_ours_has_no_public_id(presented: str) -> None:
    assert public_id(presented) is None


@pytest.mark.parametrize(
    ("authorization", "api_key", "expected"),
    [
        (["Bearer k"], [], b"k"),
        (["bearer k"], [], b"k"),
        (["BEARER   k"], [], b"k"),
        ([], ["k"], b"k"),
        (["Bearer k"], ["k"], b"k"),
        (["Bearer é"], [], "é".encode()),
        (["Bearer \udcff"], [], b"\xff"),
        (["Bearer " + "k" * 512], [], b"k" * 512),
    ],
)
def test_one_key(authorization: list[str], api_key: list[str], expected: bytes) -> None:
    assert presented_key(authorization, api_key) == expected


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        ([], []),
        (["k"], []),
        (["Basic k"], []),
        (["Bearer"], []),
        (["Bearer "], []),
        (["Bearer\tk"], []),
        (["Bearer a b"], []),
        (["Bearer a, Bearer b"], []),
        (["Bearer k", "Bearer k"], []),
        ([], ["k", "k"]),
        ([], [""]),
        ([], ["a b"]),
        (["Bearer k"], ["other"]),
        (["Bearer k"], [""]),
        (["nonsense"], ["k"]),
        (["Bearer " + "k" * 513], []),
        (["Bearer " + "é" * 257], []),
        (["Bearer \ud800"], []),
    ],
)
def test_anything_else_is_one_and_the_same_refusal(authorization: list[str], api_key: list[str]) -> None:
    with pytest.raises(InvalidKey) as caught:
        presented_key(authorization, api_key)
    assert caught.value.message == InvalidKey().message
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@given(st.lists(st.text(st.characters()), max_size=2), st.lists(st.text(st.characters()), max_size=2))
def test_any_headers_are_a_key_or_that_refusal(authorization: list[str], api_key: list[str]) -> None:
    try:
        key = presented_key(authorization, api_key)
    except InvalidKey:
        return
    assert 0 < len(key) <= 512


@pytest.mark.parametrize(
    ("patterns", "peer", "expected"),
    [
        ((), "anything", True),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.9/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("192.0.2.1",), "192.0.2.1", True),
        (("192.0.2.1",), "192.0.2.2", False),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("10.0.0.0/8", "::1"), "::1", True),
        (("0.0.0.0/0",), "::1", False),
        (("10.0.0.0/8",), "", False),
        (("10.0.0.0/8",), "unix", False),
        (("not a network",), "10.0.0.1", False),
    ],
)
def test_addresses(patterns: tuple[str, ...], peer: str, expected: bool) -> None:
    assert valid_address(patterns, peer) is expected


def test_a_network_that_is_none_is_said_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"'10.0.0.0/99' must be an address or a network"):
        parse_network("10.0.0.0/99")


def test_same() -> None:
    assert same(b"a", b"a")
    assert not same(b"a", b"ab")
