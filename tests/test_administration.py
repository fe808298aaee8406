"""What the process with the admin listener has: it says what it waits for, and ends in order."""

from pathlib import Path

from gateway.app import opened
from gateway.config import load
from tests.running import ENVIRONMENT, configuration
from tests.scripted import Scripted


async def test_it_says_that_it_waits_for_its_store_and_shows_no_password(
    upstream: Scripted, tmp_path: Path
) -> None:
    text = configuration(upstream.base_url, tmp_path, store="redis://user:secret@127.0.0.1:1/0")
    (tmp_path / "gateway.toml").write_text(text)
    said: list[str] = []
    settings = load(tmp_path / "gateway.toml", ENVIRONMENT)
    async with opened(settings, ENVIRONMENT, announce=said.append):
        assert said == ["The store at 127.0.0.1:1/0 does not answer yet. Waiting for it."]


async def test_a_store_that_answers_is_not_spoken_of(upstream: Scripted, tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(configuration(upstream.base_url, tmp_path / "data"))
    said: list[str] = []
    settings = load(tmp_path / "gateway.toml", ENVIRONMENT)
    async with opened(settings, ENVIRONMENT, announce=said.append):
        assert len(said) == 1
        assert "does not answer" not in said[0]
