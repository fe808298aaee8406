"""The supervisor starts like any gateway: the same first words, once, and the same refusals."""

from pathlib import Path

import pytest

from tests.running import configuration
from tests.scripted import Scripted
from tests.served import ask, served
from tests.workers.crowd import QUESTION, workers


async def test_the_first_keys_are_made_and_shown_once_and_work_at_once(
    upstream: Scripted, tmp_path: Path
) -> None:
    environ = {"OPENAI_BASE_URL": upstream.base_url, "OPENAI_API_KEY": "sk-real"}
    async with served(tmp_path, "--workers", "3", environ=environ) as gateway:
        assert gateway.output.count("shown this once") == 2
        for number in range(12):
            status, _, _ = await ask(gateway.url, QUESTION | {"seed": number}, key=gateway.client_key)
            assert status == 200
        assert len(workers(gateway)) == 3
        assert await gateway.stop() == 0


async def test_a_data_folder_that_is_in_use_is_refused_in_words(upstream: Scripted, tmp_path: Path) -> None:
    text = configuration(upstream.base_url, tmp_path / "data")
    async with served(tmp_path, config=text):
        with pytest.raises(AssertionError) as refused:
            async with served(tmp_path, "--workers", "2", config=text):
                pass
    assert "in use by another gateway" in str(refused.value)
    assert "Traceback" not in str(refused.value)
