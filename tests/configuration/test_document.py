"""The document as written: TOML from a file, and the environment over it."""

import json
from pathlib import Path
from typing import Any, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.complaints import Complaints
from gateway.configuration.conversion import convert, kinds, required
from gateway.configuration.document import OTHER_VARIABLES, overlay, parse, read, twin
from gateway.settings import Dollars, Duration, ModelPrice, Settings, Size

# A value of each type, as text in a variable and as it is read.
EXAMPLES: dict[Any, tuple[str, Any]] = {
    int: ("9", 9),
    bool: ("false", False),
    str: ("text: with = signs", "text: with = signs"),
    Duration: ("7m", 420.0),
    Size: ("3KiB", 3072),
}
CHOICES = {
    "models.retired": "refuse",
    "cache.scope": "all",
    "endpoints.unknown": "forward",
    "endpoints.safety_identifier": "key",
    "endpoints.prompt_cache_key": "team",
    "realtime.exhausted": "refuse",
    "away.money": "share",
    "away.budgets": "share",
    "away.rates": "refuse",
    "away.concurrency": "refuse",
}
LISTS = {
    "upstreams": [{"name": "o", "base_url": "https://x/v1"}],
    "teams": [{"name": "t"}],
    "keys": [{"name": "k", "secret": "env:K"}],
    "server.limits": ["5 requests/minute"],
    "endpoints.allow": ["all"],
    "models.aliases": {"a.b": "c"},
    "models.output_caps": {"m": 7},
    "alerts.at": [50, 75],
}

PRICES = {
    "prices.models": ('{"m": {"input": 0.1}}', {"m": ModelPrice(input=Dollars(100_000_000))}),
    "prices.unpriced": ("{ output = 0.3 }", ModelPrice(output=Dollars(300_000_000))),
    "prices.tiers": ('{"flex": 0.4}', {"flex": 400_000}),
    "prices.tools": ('{"web_search": 0.01}', {"web_search": 10_000_000}),
    "prices.operations": ('{"batches.create": 2.5}', {"batches.create": 2_500_000_000}),
}


def example(where: str, kind: Any) -> tuple[str, Any]:
    kind = required(kind)
    if where in PRICES:
        return PRICES[where]
    if kind in EXAMPLES:
        return EXAMPLES[kind]
    if get_origin(kind) in (list, dict):
        return json.dumps(LISTS[where]), LISTS[where]
    choice = CHOICES.get(where, "off")
    return choice, choice


def overlaid(document: dict[str, Any], **environ: str) -> tuple[Settings, list[str]]:
    complaints = Complaints()
    overlay(document, environ, complaints)
    return convert(document, complaints), list(complaints)


@pytest.mark.parametrize(("where", "kind"), list(kinds()), ids=[where for where, _ in kinds()])
def test_every_setting_has_an_environment_twin(where: str, kind: Any) -> None:
    text, value = example(where, kind)
    settings, complaints = overlaid({}, **{twin(where): text})
    assert complaints == []
    found: Any = settings
    for name in where.split("."):
        found = getattr(found, name)
    if isinstance(value, list) and isinstance(value[0], dict):
        found, value = found[0].name, value[0]["name"]
    assert found == value


def test_the_environment_wins_over_the_file() -> None:
    settings, complaints = overlaid({"server": {"port": 1, "host": "::1"}}, GATEWAY_SERVER__PORT="9000")
    assert complaints == []
    assert (settings.server.port, settings.server.host) == (9000, "::1")


def test_lists_may_be_toml_too() -> None:
    settings, complaints = overlaid({}, GATEWAY_TEAMS="[{ name = 'a', limits = ['8 concurrent'] }]")
    assert complaints == []
    assert settings.teams[0].limits == ["8 concurrent"]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("GATEWAY_SERVER__PROT", "1", "GATEWAY_SERVER__PROT: there is no such setting; did you mean"),
        ("GATEWAY_SERVER_PORT", "1", "GATEWAY_SERVER_PORT: there is no such setting; did you mean"),
        ("GATEWAY_ZZZ", "1", "GATEWAY_ZZZ: there is no such setting; docs/configuration.md lists"),
        ("GATEWAY_SERVER__PORT", "x", "server.port (from GATEWAY_SERVER__PORT): this is text"),
        ("GATEWAY_SERVER__PORT", "", "server.port (from GATEWAY_SERVER__PORT): this is text"),
        ("GATEWAY_SERVER__LIMITS", "5", "server.limits (from GATEWAY_SERVER__LIMITS): this is a number"),
        ("GATEWAY_SERVER__LIMITS", "[" * 9999, "server.limits (from GATEWAY_SERVER__LIMITS): this is text"),
        ("GATEWAY_TEAMS", '[{"nam": "x"}]', "teams[0].nam (from GATEWAY_TEAMS): there is no such setting"),
    ],
)  # fmt: skip
def test_wrong_variables_are_complained_about(name: str, text: str, complaint: str) -> None:
    assert overlaid({}, **{name: text})[1][0].startswith(complaint)


def test_a_section_that_is_no_table_is_complained_about_once() -> None:
    complaints = overlaid({"server": 5}, GATEWAY_SERVER__PORT="1")[1]
    assert [complaint.partition(":")[0] for complaint in complaints] == ["server"]


def test_variables_that_are_no_settings_are_left_alone() -> None:
    environ = dict.fromkeys(OTHER_VARIABLES, "x") | {
        "GATEWAY_PORT": "tcp://10.0.0.1:80",  # what Kubernetes says about a service called "gateway"
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
        "GATEWAY_SERVICE_PORT_HTTP": "80",
        "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "GATEWAY_REDIS_SERVICE_PORT": "6379",
        "PATH": "/bin",
    }
    assert overlaid({}, **environ)[1] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"[server\n", "this is not TOML: "),
        (b"a = 1\na = 2", "this is not TOML: "),
        (b"a = '\xff'", "byte 5 is not UTF-8"),
        (b"a = " + b"[" * 5000, "its values are nested too deeply"),
        (b"a = " + b"9" * 5000, "a number in it is far too long"),
    ],
)
def test_what_is_no_toml_is_complained_about(text: bytes, complaint: str) -> None:
    complaints = Complaints()
    assert parse(text, complaints, "f") == {}
    assert next(iter(complaints)).startswith(f"f: {complaint}")


def test_a_broken_line_is_not_quoted() -> None:
    complaints = Complaints()
    parse(b'[[keys]]\nsecret = "sk-canary\n', complaints, "f")
    assert len(complaints) == 1
    assert "canary" not in next(iter(complaints))


@pytest.mark.parametrize("name", ["missing.toml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_complained_about(tmp_path: Path, name: str) -> None:
    complaints = Complaints()
    assert read(tmp_path / name, complaints) == {}
    assert "cannot be read" in next(iter(complaints))


@given(st.binary(max_size=200) | st.text(alphabet="[]{}=\"'#.,\n abkeys019-:", max_size=80).map(str.encode))
def test_no_bytes_are_read_with_a_traceback(text: bytes) -> None:
    complaints = Complaints()
    convert(parse(text, complaints, "f"), complaints)


@given(st.sampled_from([where for where, _ in kinds()]), st.text(max_size=40))
def test_no_variable_is_read_with_a_traceback(where: str, text: str) -> None:
    overlaid({}, **{twin(where): text})
