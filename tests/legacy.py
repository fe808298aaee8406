"""Programs of 2023: openai 0.28, in a Python of its own (GATEWAY_LEGACY_PYTHON)."""

import asyncio
import os
from pathlib import Path

import pytest


async def legacy(script: str, base_url: str, key: str, folder: Path) -> list[str]:
    """Run the script with the gateway in OPENAI_API_BASE; the lines that it printed."""
    python = os.environ.get("GATEWAY_LEGACY_PYTHON")
    if not python:
        if os.environ.get("CI"):
            pytest.fail("GATEWAY_LEGACY_PYTHON is not set")
        pytest.skip("needs a Python with openai 0.28 (GATEWAY_LEGACY_PYTHON)")
    environ = {"OPENAI_API_KEY": key, "OPENAI_API_BASE": base_url, "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(
        python,
        "-c",
        script,
        env=environ,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode().splitlines()
