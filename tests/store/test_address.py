"""Addresses of stores: what they mean, what is refused, and that no password is ever shown."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.store.address import Address, StoreMisconfigured, parse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", Address()),
        ("redis://cache.internal:7000/3", Address("cache.internal", 7000, db=3)),
        ("redis://h?db=2", Address("h", db=2)),
        ("redis://:p%40ss@h", Address("h", password="p@ss")),
        ("redis://me:pw@[::1]:6380", Address("::1", 6380, username="me", password="pw")),
        ("unix:///run/a%20b.sock", Address(path="/run/a b.sock")),
        ("unix://me:pw@/run/r.sock?db=4", Address(path="/run/r.sock", db=4, username="me", password="pw")),
        ("rediss://h?ssl_ca_certs=/ca.pem", Address("h", tls=True, ca_certs="/ca.pem")),
        ("REDIS://h", Address("h")),
    ],
)
def test_addresses_are_read_as_redis_clients_read_them(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://h/main", "redis\\+sentinel:// is not supported"),
        ("redis+cluster://h", "redis\\+cluster:// is not supported"),
        ("http://h", "is not supported: use redis://"),
        ("", "is not supported"),
        ("unix://", "needs a path"),
        ("unix://host/path", "needs a path"),
        ("redis://h:port", "malformed"),
        ("redis://h/main", "malformed"),
        ("redis://h?timeout=3", "options that are not supported: timeout"),
        ("redis://h?ssl_ca_certs=/ca.pem", "options that are not supported: ssl_ca_certs"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(StoreMisconfigured, match=words):
        parse(url)


@settings(deadline=None)
@given(st.text())
@example("redis://h:99999999")
@example("redis://[")
def test_an_address_is_read_or_refused(text: str) -> None:
    for url in (text, f"redis://{text}", f"unix://{text}"):
        try:
            parse(url)
        except StoreMisconfigured:
            continue


@pytest.mark.parametrize("url", ["redis://u:hush@h/1", "unix://u:hush@/run/x", "rediss://:hush@h"])
def test_no_password_is_ever_shown(url: str) -> None:
    address = parse(url)
    assert address.password == "hush"
    assert "hush" not in f"{address} {address!r}"


@pytest.mark.parametrize("url", ["hush", "hush:hush", "redis://u:hush@h:x", "redis://u:hush@h?x=hush"])
def test_a_refusal_quotes_no_password(url: str) -> None:
    with pytest.raises(StoreMisconfigured) as refused:
        parse(url)
    assert "hush" not in str(refused.value)


def test_certificates_that_are_missing_are_named(tmp_path: Path) -> None:
    assert Address().context() is None
    with pytest.raises(StoreMisconfigured, match="certificates cannot be read"):
        parse(f"rediss://h?ssl_ca_certs={tmp_path}/none.pem").context()
