"""Plain values as settings: everything that is wrong at once, and the rest read all the same."""

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.complaints import Complaints
from gateway.configuration.conversion import convert, kinds
from gateway.settings import Settings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SECTIONS = sorted({where.partition(".")[0] for where, _ in kinds()})


def converted(document: dict[str, Any]) -> tuple[Settings, list[str]]:
    complaints = Complaints()
    return convert(document, complaints), list(complaints)


def test_an_empty_document_is_the_defaults() -> None:
    settings, complaints = converted({})
    assert complaints == []
    assert (settings.server.port, settings.admin.port, settings.cache.ttl) == (8080, 8081, 3600.0)
    assert settings == Settings()


def test_values_are_read() -> None:
    document = {
        "server": {"drain_timeout": "250ms", "max_body": "1MiB"},
        "models": {"aliases": {"a": "b"}, "output_caps": {"m": 5}},
        "keys": [
            {"name": "k", "secret": "env:K", "limits": ["x", {"limit": "y"}], "endpoints": ["inference"]}
        ],
    }
    settings, complaints = converted(document)
    assert complaints == []
    assert (settings.server.drain_timeout.ms, settings.server.max_body) == (250, 2**20)
    assert settings.models.aliases == {"a": "b"}
    assert settings.keys[0].limits == ["x", {"limit": "y"}]
    assert settings.keys[0].endpoints == ["inference"]
    assert settings.keys[0].models == ["*"]


def test_every_field_is_complained_about_and_the_rest_is_read() -> None:
    document: dict[str, Any] = {
        "server": {"port": "x", "host": 5, "workers": True, "drain_timeout": 60, "max_body": "1 MB"},
        "cache": {"enabled": "yes", "scope": "everyone", "ttl": "2h"},
        "keys": [{"name": "a", "limits": ["fine", 7, "fine"], "models": "gpt-*", "tags": {"x y": 1}}],
    }
    settings, complaints = converted(document)
    wheres = [complaint.partition(":")[0] for complaint in complaints]
    assert sorted(wheres) == [
        "cache.enabled",
        "cache.scope",
        "keys[0].limits[1]",
        "keys[0].models",
        "keys[0].secret",
        'keys[0].tags."x y"',
        "server.drain_timeout",
        "server.host",
        "server.max_body",
        "server.port",
        "server.workers",
    ]
    assert settings.cache.ttl == 7200.0
    assert settings.keys[0].limits == ["fine", "", "fine"]  # each in its place


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"sever": {}}, "sever: there is no such setting; did you mean server?"),
        ({"server": {"prot": 1}}, "server.prot: there is no such setting; did you mean port?"),
        ({"server": 5}, "server: this is a number; write a table of host, port"),
        ({"upstreams": {"name": "x"}}, "upstreams: this is a table; write [[upstreams]]"),
        ({"keys": ["alice"]}, "keys[0]: this is text; write a table of name, secret"),
        ({"server": {"port": "80"}}, "server.port: this is text that does not fit here; write a"),
        ({"server": {"port": 2**70}}, "server.port: this is too large; write a whole number"),
        ({"server": {"drain_timeout": "0s"}}, "server.drain_timeout: this is zero; write a duration"),
        ({"server": {"drain_timeout": "99999d"}}, "server.drain_timeout: this is longer than ten years"),
        ({"server": {"max_body": "9" * 400 + "GB"}}, "server.max_body: this is text that does not fit here"),
        ({"server": {"host": "a\nb"}}, "server.host: there is a control character in it; write text"),
        ({"cache": {"scope": "x"}}, 'cache.scope: this is text that does not fit here; write one of "p'),
        ({"teams": [{"name": datetime.date(2030, 1, 1)}]}, "teams[0].name: this is a date or a time"),
    ],
)  # fmt: skip
def test_the_complaint_says_what_to_write(document: dict[str, Any], complaint: str) -> None:
    assert converted(document)[1][0].startswith(complaint)


def test_no_complaint_quotes_a_value() -> None:
    document = {"server": {"port": "sk-canary"}, "cache": {"scope": "sk-canary", "ttl": "sk-canary"}}
    assert "canary" not in "".join(converted(document)[1])


@given(st.dictionaries(st.sampled_from(SECTIONS), JSON))
def test_nothing_is_read_with_a_traceback(document: dict[str, Any]) -> None:
    settings, complaints = converted(document)
    assert isinstance(settings, Settings)
    assert all(complaint.isprintable() for complaint in complaints)
