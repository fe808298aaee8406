"""The configuration as a whole: a file and an environment, and settings or all complaints."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import ConfigError, complaints, declared, find, load, upstreams_from_environment

ENVIRON = {"OPENAI_API_KEY": "sk-real-canary", "ALICE_KEY": "alice-canary-0123456789"}
EXAMPLE = """
[server]
drain_timeout = "30s"
limits = ["1k requests/minute"]
[admin]
key = "env:GATEWAY_ADMIN_KEY"
[store]
url = "embedded:./gateway-data"
[[upstreams]]
name = "openai"
base_url = "https://api.openai.com/v1/"
api_key = "env:OPENAI_API_KEY"
[models.aliases]
"text-davinci-002" = "gpt-6-luna"
[cache]
ttl = "1h"
[[teams]]
name = "research"
limits = ["100k tokens/minute"]
[[keys]]
name = "alice"
team = "research"
secret = "env:ALICE_KEY"
limits = ["60 requests/minute", { limit = "8 concurrent", mode = "shadow" }]
models = ["gpt-*"]
expires = "2030-01-01"
tags = { cost-centre = "7" }
"""
BAD = """
[server]
port = 99999
prot = 1
limits = ["60 requests/minute", 5, "6 bananas"]
[store]
url = "redis+sentinel://:canary@h"
[cache]
scope = "everyone"
[[upstreams]]
base_url = "https://canary@x/v1"
api_key = "sk-canary"
[[keys]]
name = "alice"
team = "nobody"
secret = "sk-canary-0123456789"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


def test_a_file_becomes_settings(tmp_path: Path) -> None:
    found = load(written(tmp_path, EXAMPLE), ENVIRON)
    assert found.server.drain_timeout == 30.0
    assert found.upstreams[0].base_url == "https://api.openai.com/v1"
    assert found.models.aliases == {"text-davinci-002": "gpt-6-luna"}
    assert complaints(tmp_path / "gateway.toml", ENVIRON) == []


def test_everything_that_is_wrong_is_said_at_once_and_nothing_secret(tmp_path: Path) -> None:
    path = written(tmp_path, BAD)
    found = complaints(path, {"GATEWAY_CACHE__TLT": "1h", "GATEWAY_ADMIN__PORT": "x"})
    assert [complaint.partition(":")[0] for complaint in found] == [
        "GATEWAY_CACHE__TLT",
        "server.prot",
        "server.limits[1]",
        "admin.port (from GATEWAY_ADMIN__PORT)",
        "upstreams[0].name",
        "cache.scope",
        "server.port",
        "server.limits[2]",
        "store.url",
        "upstreams[0].base_url",
        "keys[0].team",
        "upstreams[0].api_key",
        "keys[0].secret",
    ]
    assert "canary" not in "".join(found)
    with pytest.raises(ConfigError) as error:
        load(path, {"GATEWAY_CACHE__TLT": "1h", "GATEWAY_ADMIN__PORT": "x"})
    assert error.value.complaints == found


def test_no_file_is_no_fault_but_a_named_one_must_be_there(tmp_path: Path) -> None:
    assert load(None, {}).server.port == 8080
    assert len(complaints(tmp_path / "missing.toml", {})) == 1


def test_the_file_in_the_working_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find(None) is None
    written(tmp_path, "")
    assert find(None) == Path("gateway.toml")
    assert find(Path("other.toml")) == Path("other.toml")


def test_declared_clients_are_records_without_their_secrets(tmp_path: Path) -> None:
    keys, teams = declared(load(written(tmp_path, EXAMPLE), ENVIRON), ENVIRON)
    (alice,) = keys
    assert (alice.id, alice.name, alice.team, alice.declared) == ("alice", "alice", "research", True)
    assert alice.digest == hashlib.sha256(ENVIRON["ALICE_KEY"].encode()).hexdigest()
    assert alice.expires == 1_893_456_000_000
    assert alice.limits[1] == {"limit": "8 concurrent", "mode": "shadow"}
    assert (teams[0].name, teams[0].limits, teams[0].declared) == ("research", ["100k tokens/minute"], True)
    assert "canary" not in repr(keys)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, []),
        ({"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}, []),
        ({"OPENAI_API_KEY": "sk"}, [("openai", "https://api.openai.com/v1", "env:OPENAI_API_KEY")]),
        ({"OPENAI_BASE_URL": "http://h:1/v1/"}, [("openai", "http://h:1/v1", "")]),
        (
            {"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": "http://h/v1"},
            [("openai", "http://h/v1", "env:OPENAI_API_KEY")],
        ),
    ],
)
def test_openais_own_variables_name_an_upstream(
    environ: dict[str, str], expected: list[tuple[str, str, str]]
) -> None:
    found = upstreams_from_environment(environ)
    assert [(upstream.name, upstream.base_url, upstream.api_key) for upstream in found] == expected


def test_openais_own_variables_are_checked_where_they_count(tmp_path: Path) -> None:
    environ = ENVIRON | {"OPENAI_BASE_URL": "https://canary@x"}
    (complaint,) = complaints(None, environ)
    assert complaint.startswith("OPENAI_BASE_URL: there are credentials in it")
    assert "canary" not in complaint
    assert complaints(written(tmp_path, EXAMPLE), environ) == []


LINES = st.lists(
    st.sampled_from(EXAMPLE.strip().splitlines() + BAD.strip().splitlines()) | st.text(max_size=20),
    max_size=20,
)


@settings(max_examples=200)
@given(LINES)
def test_no_file_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    for complaint in complaints(path, ENVIRON):
        assert complaint.isprintable()
        assert ": " in complaint
