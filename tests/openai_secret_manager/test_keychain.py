"""The keyring keeps the key where there is one: the file then names the gateway and no more."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from openai_secret_manager import SecretNotFound, get_secret, keychain
from openai_secret_manager.login import Login, forget, keep, kept, kept_address

keyring = pytest.importorskip("keyring", reason="needs the package keyring")
errors = pytest.importorskip("keyring.errors")
backend = pytest.importorskip("keyring.backend")

LOGIN = Login("http://127.0.0.1:8080/v1", "sk-gw-abcdef-canary0123456789")
OTHER = Login("https://gateway.example/v1", "sk-gw-fedcba-canary9876543210")
ROOT = Path(__file__).parent.parent.parent


class Ring(backend.KeyringBackend):  # type: ignore[misc, name-defined]
    """A keyring in memory, which can be locked."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False

    def _open(self) -> None:
        if self.locked:
            raise errors.KeyringLocked("with canary in its words")

    def get_password(self, service: str, username: str) -> str | None:
        self._open()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._open()
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._open()
        if self.entries.pop((service, username), None) is None:
            raise errors.PasswordDeleteError("there is none")


@pytest.fixture
def ring(file: Path) -> Iterator[Ring]:
    before = keyring.get_keyring()
    made = Ring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_the_key_is_in_the_keyring_and_not_in_the_file(ring: Ring, file: Path) -> None:
    assert keep(LOGIN) == "the system's keyring"
    assert list(ring.entries.values()) == [LOGIN.api_key]
    assert "canary" not in file.read_text()
    assert kept() == LOGIN
    assert get_secret("openai") == {"api_key": LOGIN.api_key, "api_base": LOGIN.api_base}
    assert forget()
    assert not ring.entries
    assert not file.exists()


def test_it_leaves_the_keyring_when_another_takes_its_place(ring: Ring, file: Path) -> None:
    keep(LOGIN)
    keep(OTHER)
    assert list(ring.entries.values()) == [OTHER.api_key]
    assert keep(LOGIN, keyring=False) == str(file)
    assert not ring.entries
    assert kept() == LOGIN


def test_a_locked_keyring_is_told_and_loses_nothing(ring: Ring, file: Path) -> None:
    keep(LOGIN)
    ring.locked = True
    for act in (kept, forget, lambda: keep(OTHER)):
        with pytest.raises(SecretNotFound, match="KeyringLocked") as raised:
            act()
        assert "canary" not in str(raised.value)
    assert kept_address() == LOGIN.api_base
    ring.locked = False
    assert kept() == LOGIN


def test_a_key_that_left_the_keyring_is_missed(ring: Ring, file: Path) -> None:
    keep(LOGIN)
    ring.entries.clear()
    with pytest.raises(SecretNotFound, match="is gone"):
        kept()
    assert forget()


def test_a_backend_for_those_who_insist_is_not_chosen(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keychain.usable()
    monkeypatch.setattr(Ring, "priority", 0.5)
    assert not keychain.usable()


@pytest.mark.parametrize("configured", ["no.such.Keyring", "keyring.backends.fail.Keyring"])
def test_a_keyring_that_does_not_run_here_is_none(configured: str) -> None:
    program = "from openai_secret_manager import keychain; print(keychain.usable())"
    environ = os.environ | {"PYTHON_KEYRING_BACKEND": configured}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr


def test_a_python_without_the_keyring_says_what_to_do(ring: Ring, file: Path) -> None:
    keep(LOGIN)
    program = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from openai_secret_manager import SecretNotFound, get_secret\n"
        "try: get_secret('openai')\nexcept SecretNotFound as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-E", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert "--no-keyring" in done.stdout
    assert "GATEWAY_API_KEY" in done.stdout
