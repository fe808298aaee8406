"""`python -m gateway` is the command line."""

import subprocess
import sys


def test_it_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("Usage: gateway ")
