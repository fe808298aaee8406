import configparser
import shutil
from pathlib import Path

import pytest

from gateway.commands.serve import _BAD_CONFIGURATION
from gateway.settings import Server
from tests.deploy.conftest import Run
from tests.deploy.live import DEPLOY

UNIT = DEPLOY / "systemd" / "openai-gateway.service"


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd tells cases apart
    parser.read_string(UNIT.read_text())
    return parser["Service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_has_no_complaint(run: Run, tmp_path: Path) -> None:
    # The program is not installed where the unit looks for it, and that alone may be missing.
    text = UNIT.read_text().replace(service()["ExecStart"], "/bin/true")
    unit = tmp_path / UNIT.name
    unit.write_text(text)
    assert run("systemd-analyze", "verify", unit) == ""


def test_it_serves_and_gives_up_on_a_wrong_configuration() -> None:
    assert " serve --config " in service()["ExecStart"]
    assert int(service()["RestartPreventExitStatus"]) == _BAD_CONFIGURATION


def test_it_waits_for_the_drain_and_leaves_the_store_to_the_gateway() -> None:
    assert int(service()["TimeoutStopSec"]) > Server().drain_timeout
    assert service()["KillMode"] == "mixed"
