"""`get_secret`: whose key, for which gateway, and what is said when there is none."""

import json
import pprint
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.commands.chat import BASE_URL
from openai_secret_manager import SecretNotFound, get_secret
from openai_secret_manager.login import Login, keep

ROOT = Path(__file__).parent.parent.parent
KEY = "sk-gw-abcdef-canary0123456789"
ELSEWHERE = "https://gateway.example/v1"


def test_the_key_of_the_environment_for_the_gateway_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", f" {KEY}\n")
    assert get_secret("openai") == {"api_key": KEY, "api_base": BASE_URL}


def test_the_first_address_that_is_named_is_the_gateways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", KEY)
    keep(Login("http://login/v1", "sk-gw-another-key"))
    assert get_secret("openai") == {"api_key": KEY, "api_base": "http://login/v1"}
    for variable in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "GATEWAY_BASE_URL"):
        monkeypatch.setenv(variable, f"http://{variable.lower()}/v1/")
        assert get_secret("openai")["api_base"] == f"http://{variable.lower()}/v1"
    monkeypatch.setenv("GATEWAY_BASE_URL", "")
    assert get_secret("openai")["api_base"] == "http://openai_api_base/v1"


def test_a_login_goes_to_the_gateway_that_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(Login(ELSEWHERE, KEY))
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1")
    monkeypatch.setenv("GATEWAY_API_KEY", "")
    assert get_secret("openai") == {"api_key": KEY, "api_base": ELSEWHERE}


def test_without_a_key_it_says_both_ways_to_one() -> None:
    with pytest.raises(SecretNotFound, match=r"gateway login.*GATEWAY_API_KEY"):
        get_secret("openai")


@pytest.mark.parametrize("name", ["anthropic", "OpenAI", "", KEY])
def test_another_name_is_told_the_one_that_there_is(name: str) -> None:
    with pytest.raises(SecretNotFound, match='only one is "openai"') as raised:
        get_secret(name)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("bad", [f"{KEY} {KEY}", f"{KEY}\n{KEY}", f"{KEY}é"])
def test_a_key_that_no_header_can_carry_is_refused_unquoted(
    monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", bad)
    with pytest.raises(SecretNotFound, match="GATEWAY_API_KEY has characters") as raised:
        get_secret("openai")
    assert "canary" not in str(raised.value)


def test_it_prints_without_the_key_and_is_a_dictionary_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", KEY)
    secret = get_secret("openai")
    for printed in (repr(secret), str(secret), f"{secret}", pprint.pformat(secret), repr([secret])):
        assert "canary" not in printed
        assert BASE_URL in printed
    assert json.loads(json.dumps(secret)) == secret
    assert {**secret}["api_key"] == KEY


def test_the_standard_library_is_all_that_it_needs() -> None:
    program = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport openai_secret_manager\n"
        "strange = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names\n"
        "strange -= {'__main__', 'openai_secret_manager'}\nassert not strange, strange"
    )
    # -S: nothing that is installed can be imported at all.
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, timeout=60)


def test_it_comes_with_the_wheel_and_brings_no_openai() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [
        "gateway",
        "openai_secret_manager",
    ]
    assert not [need for need in project["project"]["dependencies"] if need.startswith("openai")]
