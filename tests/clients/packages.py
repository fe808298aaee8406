"""What npm brings: `make test` installs it beside this file, by the names in package.json."""

import os
from pathlib import Path

import pytest

MODULES = Path(__file__).parent / "node_modules"


def installed(pattern: str) -> Path:
    """The file of that name (a glob) below node_modules. Without it the test is skipped; in CI it fails."""
    found = sorted(MODULES.glob(pattern))
    if found:
        return found[0]
    missing = f"needs {pattern} from npm in {MODULES.name} (make test installs it)"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
