"""Where keys come from, and that they are never shown."""

import copy
import logging
import pickle
from pathlib import Path

import pytest

from gateway.upstream.secrets import NO_SECRET, Secret, read_secret_file, resolve

CANARY = "sk-canary-000"


def no_file(path: str) -> str:
    raise FileNotFoundError(path)


def test_from_the_environment() -> None:
    secret = resolve("env:OPENAI_API_KEY", {"OPENAI_API_KEY": CANARY}, no_file)
    assert secret.reveal() == CANARY
    assert repr(secret) == str(secret) == f"{secret}" == "<Secret env:OPENAI_API_KEY>"


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_from_a_file_without_its_line_end(end: str) -> None:
    assert resolve("file:/run/key", {}, lambda path: f"{path}{end}").reveal() == "/run/key"


def test_no_reference_is_no_secret() -> None:
    assert resolve("", {}, no_file) is NO_SECRET
    assert not NO_SECRET


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:MISSING", "no secret at env:MISSING: the variable is not set"),
        ("file:/none", "no secret at file:/none: the file cannot be read"),
        ("env:EMPTY", "empty"),
        ("env:BROKEN", "control"),
        ("env:SPACED", "spaces"),
        ("keyring:openai", "is not supported"),
        ("vault:secret/x", "is not supported"),
        ("aws-sm:name", "is not supported"),
        (CANARY, "never written in the configuration"),
        (f"literal:{CANARY}", "never written in the configuration"),
    ],
)
def test_what_cannot_be_resolved_is_said_without_the_value(reference: str, words: str) -> None:
    environ = {"EMPTY": "", "BROKEN": f"{CANARY}\r\nHost: x", "SPACED": f" {CANARY}"}
    with pytest.raises(ValueError, match=words) as caught:
        resolve(reference, environ, no_file)
    assert "canary" not in str(caught.value)


def test_a_secret_is_in_no_traceback_and_no_copy() -> None:
    secret = Secret(CANARY, "env:K")
    assert CANARY not in f"{[secret]} {secret!r}"
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copier(secret)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 1), (0o604, 1)])
def test_a_file_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: int
) -> None:
    file = tmp_path / "key"
    file.write_text(CANARY)
    file.chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert read_secret_file(str(file)) == CANARY
    assert len(caplog.records) == warned
    assert CANARY not in caplog.text
