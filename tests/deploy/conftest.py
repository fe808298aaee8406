import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]


@pytest.fixture
def run() -> Run:
    """Run a tool of pip's or the system's: `run("promtool", "check", …)`. Its output; fails when it fails."""

    def _run(tool: str, *args: str | Path, given: str = "") -> str:
        done = subprocess.run(
            [need(tool), *args], input=given, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{tool} {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    return _run


def need(tool: str) -> str:
    """Where the tool is. Without it the test is skipped, but in CI it fails."""
    beside_python = Path(sys.executable).parent
    found = shutil.which(tool, path=f"{beside_python}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"{tool} is not installed")
    pytest.skip(f"{tool} is not installed")
