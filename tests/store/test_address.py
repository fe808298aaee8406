"""Addresses of stores: what they mean, what is refused, and that no password is ever shown."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.store.address import (
    SCHEMES,
    Address,
    ClusterAddress,
    SentinelAddress,
    StoreMisconfigured,
    parse,
)

NODES = (("a", 7000), ("::1", 7001), ("b", 6379))


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
        ("redis://h:1,i:2", "several hosts"),
        ("redis://h:0", "malformed"),
        ("redis+cluster://", "malformed"),
        ("redis+cluster:h", "malformed"),
        ("redis+cluster://h,,i", "malformed"),
        ("redis+cluster://h:port", "malformed"),
        ("redis+cluster://h,i:99999", "malformed"),
        ("redis+cluster://h/1", "a cluster has but one"),
        ("redis+cluster://h?db=0", "options that are not supported: db"),
        ("redis+cluster://h?ssl_ca_certs=/ca.pem", "options that are not supported: ssl_ca_certs"),
        ("redis+sentinel://h", "needs the master's name"),
        ("redis+sentinel://h//1", "needs the master's name"),
        ("redis+sentinel://h/main/1/2", "needs the master's name"),
        ("redis+sentinel://h/main/one", "malformed"),
        ("redis+sentinel:///main", "malformed"),
        ("redis+sentinel://h/main?name=x", "options that are not supported: name"),
        ("http://h", "is not supported: use redis://"),
        ("", "is not supported"),
        ("unix://", "needs a path"),
        ("unix://host/path", "needs a path"),
        ("redis://h:port", "malformed"),
        ("redis://h/main", "malformed"),
        ("redis://h/-1", "malformed"),
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
    for url in (text, *(f"{scheme}://{text}" for scheme in SCHEMES)):
        try:
            parse(url)
        except StoreMisconfigured:
            continue


CLUSTERS = [
    ("redis+cluster://h", "redis+cluster://h:6379", [Address("h")]),
    (
        "redis+cluster://me:p%40w@a:7000,[::1]:7001,b/0",
        "redis+cluster://a:7000,[::1]:7001,b:6379",
        [Address(host, port, username="me", password="p@w") for host, port in NODES],
    ),
    (
        "rediss+cluster://a:7000?ssl_ca_certs=/ca.pem",
        "rediss+cluster://a:7000",
        [Address("a", 7000, tls=True, ca_certs="/ca.pem")],
    ),
]


@pytest.mark.parametrize(("url", "shown", "seeds"), CLUSTERS)
def test_clusters_are_known_by_some_of_their_nodes(url: str, shown: str, seeds: list[Address]) -> None:
    cluster = parse(url)
    assert cluster == ClusterAddress(tuple(seeds))
    assert str(cluster) == shown


def test_a_master_is_known_by_its_sentinels() -> None:
    found = parse("redis+sentinel://me:pw@a,[::1]:7001,b:6379/main/3?sentinel_password=s3")
    asked = [Address("a", 26379), Address("::1", 7001), Address("b")]
    sentinels = tuple(replace(address, password="s3") for address in asked)
    assert found == SentinelAddress(sentinels, "main", Address(username="me", password="pw", db=3))
    assert str(found) == "redis+sentinel://a:26379,[::1]:7001,b:6379/main/3"
    secured = parse("rediss+sentinel://a/main?db=2&sentinel_username=u&ssl_ca_certs=/ca.pem")
    assert isinstance(secured, SentinelAddress)
    assert secured.sentinels == (Address("a", 26379, username="u", tls=True, ca_certs="/ca.pem"),)
    assert secured.server == Address(tls=True, ca_certs="/ca.pem", db=2)


async def test_a_server_of_ones_own_is_where_it_is() -> None:
    assert await Address("h").addresses() == (Address("h"),)


@pytest.mark.parametrize(
    "url", ["redis+cluster://u:hush@h,i", "redis+sentinel://u:hush@h,i/main?sentinel_password=hush"]
)
def test_no_password_of_many_servers_is_ever_shown(url: str) -> None:
    assert "hush" not in f"{parse(url)} {parse(url)!r}"


@pytest.mark.parametrize("url", ["redis://u:hush@h/1", "unix://u:hush@/run/x", "rediss://:hush@h"])
def test_no_password_is_ever_shown(url: str) -> None:
    address = parse(url)
    assert isinstance(address, Address)
    assert address.password == "hush"
    assert "hush" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    "url",
    [
        "hush",
        "hush:hush",
        "redis://u:hush@h:x",
        "redis://u:hush@h?x=hush",
        "redis://u:hush@h:1,i:2",
        "redis+cluster://u:hush@h/1",
        "redis+cluster://u:hush@h:x",
        "redis+sentinel://u:hush@h",
        "redis+sentinel://u:hush@h/main/hush",
    ],
)
def test_a_refusal_quotes_no_password(url: str) -> None:
    with pytest.raises(StoreMisconfigured) as refused:
        parse(url)
    assert "hush" not in str(refused.value)


def test_certificates_that_are_missing_are_named(tmp_path: Path) -> None:
    assert Address().context() is None
    with pytest.raises(StoreMisconfigured, match="certificates cannot be read"):
        Address(tls=True, ca_certs=f"{tmp_path}/none.pem").context()
