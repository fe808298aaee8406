"""The handshake and the masks of RFC 6455."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.websocket import MaskCheck, is_offered, opening

GOOD = {
    "upgrade": ["websocket"],
    "connection": ["keep-alive, Upgrade"],
    "sec-websocket-version": ["13"],
    "sec-websocket-key": ["dGhlIHNhbXBsZSBub25jZQ=="],
}


def values(changes: dict[str, list[str]]) -> Callable[[str], Sequence[str]]:
    return lambda name: (GOOD | changes).get(name, [])


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ({}, True),
        ({"connection": ["keep-alive", "upgrade"], "upgrade": ["h2c, WebSocket"]}, True),
        ({"upgrade": []}, False),
        ({"upgrade": ["h2c"]}, False),
        ({"connection": []}, False),
        ({"connection": ["keep-alive"]}, False),
    ],
)
def test_who_offers_a_websocket(changes: dict[str, list[str]], offered: bool) -> None:
    assert is_offered(values(changes)) is offered


def test_the_rfcs_own_example_is_accepted() -> None:
    assert opening(values({})).accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert opening(values({})).protocol == ""


def test_a_browsers_subprotocols_are_read_and_its_key_is_not_shown() -> None:
    offered = "realtime, openai-insecure-api-key.sk-gw-x, openai-beta.realtime-v1"
    read = opening(values({"sec-websocket-protocol": [offered]}))
    assert (read.protocol, read.keys, read.beta) == ("realtime", ("sk-gw-x",), "realtime=v1")
    assert "sk-gw-x" not in repr(read)


@pytest.mark.parametrize(
    "changes",
    [
        {"sec-websocket-version": ["8"]},
        {"sec-websocket-version": []},
        {"sec-websocket-version": ["13", "13"]},
        {"sec-websocket-key": []},
        {"sec-websocket-key": ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="]},
        {"sec-websocket-key": ["c2hvcnQ="]},
        {"sec-websocket-key": ["not base64 at all!!!!!!!"]},
        {"sec-websocket-key": ["dGhlIHNhbXBsZSBub25jZé=="]},
        {"sec-websocket-protocol": ["realtime,realtime"]},
        {"sec-websocket-protocol": ["real time"]},
    ],
)
def test_what_is_no_handshake_is_refused(changes: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        opening(values(changes))
    assert refused.value.code == "invalid_handshake"


def test_whoever_speaks_another_version_is_told_which_one_to_speak() -> None:
    with pytest.raises(InvalidRequest) as refused:
        opening(values({"sec-websocket-version": ["25"]}))
    assert refused.value.headers == (("sec-websocket-version", "13"),)


def frame(size: int, masked: bool) -> bytes:
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes([0x82, bit | size])
    elif size < 2**16:
        head = bytes([0x82, bit | 126]) + size.to_bytes(2)
    else:
        head = bytes([0x82, bit | 127]) + size.to_bytes(8)
    return head + (b"\x01\x02\x03\x04" if masked else b"") + b"\x02" * size


SIZES = st.sampled_from([0, 1, 3, 125, 126, 127, 300, 70_000])


@given(st.lists(SIZES, max_size=6), st.integers(1, 5000), st.booleans())
def test_masks_are_seen_however_the_bytes_arrive(sizes: list[int], step: int, last_bare: bool) -> None:
    stream = b"".join(frame(size, masked=True) for size in sizes)
    stream += frame(1, masked=False) if last_bare else b""
    check = MaskCheck()
    seen = [check.masked(stream[at : at + step]) for at in range(0, len(stream), step)]
    assert all(seen) is not last_bare
