"""Peers, installed from their registries into folders of their own; which registry is the user's business."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 300
_LOG_LINES = 3


class NotInstalledError(Exception):
    """A package did not arrive; the message ends with the last lines that its installer wrote."""


def from_pypi(folder: Path, package: str) -> None:
    """Into the virtual environment `folder`, which is made. What is there already stays."""
    if (folder / ".made").exists():
        return
    if uv := shutil.which("uv"):
        _run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--python", str(folder / "bin" / "python"), package])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", package])
    (folder / ".made").touch()


def from_npm(folder: Path, package: str) -> None:
    """Into `node_modules` of `folder`."""
    if (folder / ".made").exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalledError("npm is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    _run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package])
    (folder / ".made").touch()


def _run(command: Sequence[str]) -> None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"{Path(command[0]).name}: {error}") from None
    if ended.returncode:
        said = " | ".join((ended.stdout + ended.stderr).strip().splitlines()[-_LOG_LINES:])
        raise NotInstalledError(said or f"{Path(command[0]).name} ended with {ended.returncode}")
