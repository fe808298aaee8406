"""What `gateway login` keeps: in a file for its owner alone, replaced whole, refused when it is open."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from openai_secret_manager.errors import SecretNotFound
from openai_secret_manager.login import Login, forget, keep, kept, kept_address, path
from tests.logins import mode

LOGIN = Login("http://127.0.0.1:8080/v1", "sk-gw-abcdef-canary0123456789")
OTHER = Login("https://gateway.example/v1", "sk-gw-fedcba-canary9876543210")


@pytest.fixture
def _careless() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_nobody_has_logged_in() -> None:
    assert kept() is None
    assert kept_address() is None
    assert not forget()


@pytest.mark.usefixtures("_careless")
def test_it_is_kept_for_its_owner_alone(file: Path) -> None:
    assert keep(LOGIN) == str(file)
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    assert kept() == LOGIN
    assert kept_address() == LOGIN.api_base


def test_another_login_takes_its_place(file: Path) -> None:
    keep(LOGIN)
    keep(OTHER)
    assert kept() == OTHER
    assert LOGIN.api_key not in file.read_text()
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_what_is_forgotten_is_gone(file: Path) -> None:
    keep(LOGIN)
    assert forget()
    assert list(file.parent.iterdir()) == []
    assert not forget()


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_is_open_to_others_is_refused_until_it_is_closed(file: Path, bits: int) -> None:
    keep(LOGIN)
    file.chmod(bits)
    for read in (kept, kept_address):
        with pytest.raises(SecretNotFound, match=f"chmod 600 {file}") as raised:
            read()
        assert "canary" not in str(raised.value)
    file.chmod(0o600)
    assert kept() == LOGIN


def test_an_open_file_can_be_replaced_and_forgotten(file: Path) -> None:
    keep(LOGIN)
    file.chmod(0o644)
    keep(OTHER)
    assert kept() == OTHER
    file.chmod(0o644)
    assert forget()


@pytest.mark.parametrize(
    "text", ["", "canary", "[]", "null", '{"api_key": "canary"}', '{"api_base": 1}', "\udcff"]
)
def test_a_file_of_another_kind_is_refused_but_not_in_the_way(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    file.chmod(0o600)
    with pytest.raises(SecretNotFound, match="is not what `gateway login` writes") as raised:
        kept()
    assert "canary" not in str(raised.value)
    keep(LOGIN)
    assert kept() == LOGIN


@pytest.mark.parametrize("key", ["", None, 5])
def test_an_address_without_a_key_is_no_login(file: Path, key: object) -> None:
    keep(LOGIN)
    file.write_text(json.dumps({"api_base": LOGIN.api_base, "api_key": key}))
    with pytest.raises(SecretNotFound, match="is gone"):
        kept()


def test_a_file_that_cannot_be_read_is_told_with_its_reason(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(SecretNotFound, match="cannot be read: Is a directory"):
        kept()


def test_a_failed_write_leaves_the_old_login_and_no_litter(file: Path) -> None:
    keep(LOGIN)
    bad = Login("http://x/v1", b"no text")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        keep(bad)
    assert kept() == LOGIN
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for relative in ("", "settings"):
        monkeypatch.setenv("XDG_CONFIG_HOME", relative)
        assert path() == tmp_path / ".config" / "openai-gateway" / "login.json"


def test_it_prints_without_the_key() -> None:
    assert "canary" not in repr(LOGIN)
    assert LOGIN.api_base in repr(LOGIN)
