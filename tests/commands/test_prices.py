"""`gateway prices show`: what a model costs, where that comes from, and what to do about an unknown one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.commands.conftest import Call

CONFIGURATION = """
[[upstreams]]
name = "routed"
base_url = "https://openrouter.ai/api/v1"
models = ["openai/*"]
priority = 1

[[upstreams]]
name = "ours"
base_url = "http://10.0.0.1/v1"
prices = "free"
models = ["llama*"]

[models.aliases]
old = "mine"

[prices.models.mine]
input = 2.5
output = 10
request = 0.001

[prices.tiers]
flex = 0.4
"""

Show = Callable[..., Result]


@pytest.fixture
def show(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.toml").write_text(CONFIGURATION)
    none = {"OPENAI_API_KEY": None, "OPENAI_BASE_URL": None}

    def _show(*arguments: str) -> Result:
        return call("prices", "show", *arguments, **none)

    return _show


def lines(result: Result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


def test_a_retired_model_costs_what_its_successor_does(show: Show, tmp_path: Path) -> None:
    """From its shutdown on, as the gateway does it: `models.retired`."""
    file, asked = tmp_path / "gateway.toml", ("gpt-3.5-turbo-0301", "--at")
    file.write_text(CONFIGURATION + '[models]\nretired = "redirect"\n')
    assert ["sent", "as", "gpt-3.5-turbo"] in lines(show(*asked, "2024-09-14"))
    assert "sent as" not in show(*asked, "2024-09-12").stdout
    file.write_text(CONFIGURATION + '[models]\nretired = "refuse"\n')
    refused = show(*asked, "2024-09-14")
    assert refused.exit_code == 1
    assert "was shut down on 2024-09-13" in refused.stderr


def test_a_listed_model(show: Show) -> None:
    result = show("gpt-5.4-2026-03-05", "--at", "2026-11-22")
    assert result.exit_code == 0
    shown = lines(result)
    assert ["listed", "as", "gpt-5.4"] in shown
    assert ["source", "genai-prices", "0.2.3,", "openai"] in shown or "genai-prices" in result.stdout
    assert ["TIER", "INPUT", "OVER", "INPUT", "CACHED", "OUTPUT"] in shown
    assert ["standard", "2.5", "0.25", "15"] in shown
    assert ["standard", "272000", "5", "0.5", "22.5"] in shown
    assert ["priority", "5", "0.5", "30"] in shown
    assert ["web_search", "$0.01", "per", "call"] in shown


def test_a_date_before_the_tiers_were_listed(show: Show) -> None:
    shown = lines(show("gpt-5.4", "--at", "2026-10-01"))
    assert ["tier", "priority", "2", "times", "the", "standard"] in shown
    assert ["tier", "flex", "0.4", "times", "the", "standard"] in shown


def test_a_configured_model_by_its_alias(show: Show) -> None:
    shown = lines(show("old"))
    assert ["sent", "as", "mine"] in shown
    assert ["source", "configuration"] in shown
    assert ["standard", "2.5", "10"] in shown
    assert ["request", "$0.001", "each"] in shown


def test_the_upstream_that_serves_it(show: Show) -> None:
    assert ["prices", "of", "openrouter"] in lines(show("openai/gpt-4o"))
    assert ["prices", "of", "free"] in lines(show("llama-9"))
    assert ["prices", "of", "free"] in lines(show("gpt-4o", "--upstream", "ours"))
    assert ["prices", "of", "free"] in lines(show("gpt-4o", "--upstream", "local"))
    assert ["prices", "of", "anthropic"] in lines(show("claude-2", "--provider", "anthropic"))


def test_the_dearest_hours_are_said(show: Show) -> None:
    result = show("deepseek-chat", "--provider", "deepseek")
    assert ["note", "the", "dearest", "hours", "of", "the", "day"] in lines(result)


def test_json(show: Show) -> None:
    shown = json.loads(show("old", "--json").stdout)
    assert shown["rates"][0] | {"tier": "standard", "input": 2_500_000_000} == shown["rates"][0]
    assert shown["fees"] == {"code_interpreter": 30_000_000}
    assert shown["factors"] == {"flex": 400_000, "priority": 2_000_000}
    assert (shown["model"], shown["sent"], shown["matched"]) == ("old", "mine", "mine")


def test_an_unknown_model_is_said_to_be_with_names_like_it(show: Show) -> None:
    result = show("gpt-4oo", "--at", "2026-11-22")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Nobody knows what 'gpt-4oo' costs at openai on 2026-11-22." in result.stderr
    assert "gpt-4o," in result.stderr
    assert '[prices.models."gpt-4oo"]' in result.stderr


def test_what_it_prints_to_price_a_model_does(show: Show, tmp_path: Path) -> None:
    advice = show('we"ird').stderr.partition("configuration:\n")[2]
    (tmp_path / "gateway.toml").write_text(advice)
    assert show('we"ird').exit_code == 0


def test_a_wrong_configuration_is_complained_about(show: Show, tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("[prices.models]\nx = { input = -1, output = 1 }")
    result = show("x")
    assert result.exit_code == 1
    assert "prices.models.x.input: this is negative" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--upstream", "none"], "there is no upstream 'none'; there are routed, ours, local."),
        (["--provider", "none"], "there is no provider 'none'; there are anthropic,"),
        (["--provider", "openai", "--upstream", "ours"], "give one of --upstream and --provider"),
        (["--at", "soon"], "soon"),
    ],
)
def test_used_wrongly(show: Show, arguments: list[str], complaint: str) -> None:
    result = show("gpt-4o", *arguments)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())
