"""Addresses in a configuration: which are taken, and that none is ever quoted."""

from collections.abc import Callable

import pytest

from gateway.configuration.addresses import check_base_url, check_cache_url, check_store_url
from gateway.configuration.complaints import Complaints

Check = Callable[[str, str, Complaints], None]


def complaint(check: Check, url: str) -> str:
    complaints = Complaints()
    check(url, "here", complaints)
    return next(iter(complaints), "")


@pytest.mark.parametrize(
    "url", ["https://api.openai.com/v1", "http://127.0.0.1:11434/v1", "http://[::1]:8000", "https://x/a/b/v1"]
)
def test_base_urls_that_are_taken(url: str) -> None:
    assert complaint(check_base_url, url) == ""


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("", "no http address"),
        ("api.openai.com/v1", "no http address"),
        ("ftp://x/v1", "no http address"),
        ("https:///v1", "no http address"),
        ("https://canary:99999/v1", "no http address"),
        ("https://canary:0/v1", "no http address"),
        ("https://[canary/v1", "no http address"),
        ("https://can ary/v1", "no http address"),
        ("https://user:canary@x/v1", "credentials"),
        ("https://canary@x/v1", "credentials"),
        ("https://x/v1?key=canary", "query or a fragment"),
        ("https://x/v1?", "query or a fragment"),
        ("https://x/v1#canary", "query or a fragment"),
    ],
)
def test_base_urls_that_are_refused(url: str, wrong: str) -> None:
    found = complaint(check_base_url, url)
    assert wrong in found
    assert "canary" not in found


@pytest.mark.parametrize(
    "url",
    [
        "embedded:./gateway-data",
        "redis://localhost",
        "redis://u:p@h:6380/2",
        "rediss://h",
        "unix:///run/redis.sock?db=1",
        "redis+cluster://h",
        "rediss+cluster://u:p@h:7000,[::1]:7001,i",
        "redis+sentinel://h,i:26380,j/main/2?sentinel_password=p",
        "rediss+sentinel://h/main?ssl_ca_certs=/ca.pem",
    ],
)
def test_stores_that_are_taken(url: str) -> None:
    assert complaint(check_store_url, url) == ""


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("", "no address"),
        ("embedded:", "no folder"),
        ("embedded: ", "no folder"),
        ("canary", "no address"),
        ("http://:canary@h", "no address"),
        ("redis+galera://:canary@h", "no address"),
        ("redis+sentinel://:canary@h", "needs the master's name"),
        ("redis+sentinel://:canary@h/main/zero", "malformed"),
        ("redis+sentinel://:canary@h,,i/main", "malformed"),
        ("redis+sentinel://h/main?sentinel_secret=canary", "sentinel_secret"),
        ("redis+cluster://:canary@h/1", "a cluster has but one"),
        ("redis+cluster://:canary@h:0,i", "malformed"),
        ("redis+cluster://:canary@h, i", "no address"),
        ("redis+cluster://:canary@", "malformed"),
        ("redis+cluster:canary@h", "no address"),
        ("redis://:canary@h,i", "several hosts"),
        ("redis://:canary@h:99999", "malformed"),
        ("redis://:canary@h:0", "malformed"),
        ("redis://:canary@h/zero", "malformed"),
        ("redis://:canary@h?colour=red", "colour"),
        ("unix://canary", "path"),
    ],
)
def test_stores_that_are_refused(url: str, wrong: str) -> None:
    found = complaint(check_store_url, url)
    assert wrong in found
    assert "canary" not in found


def test_the_cache_may_be_beside_the_store_but_not_embedded_apart() -> None:
    assert complaint(check_cache_url, "") == ""
    assert complaint(check_cache_url, "redis://h:6380") == ""
    assert complaint(check_cache_url, "redis+cluster://h:6380,i") == ""
    assert "no address" in complaint(check_cache_url, "embedded:./other")
