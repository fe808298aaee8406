"""References to secrets: each leads to a usable one, and none appears in a complaint."""

from pathlib import Path

import pytest

from gateway.configuration.complaints import Complaints
from gateway.configuration.secretchecks import admin_reference, check_secrets
from gateway.settings import Admin, Key, Settings, Upstream

LONG = "canary-0123456789abcdef"


def found(settings: Settings, **environ: str) -> list[str]:
    complaints = Complaints()
    check_secrets(settings, environ, complaints)
    return list(complaints)


def keyed(*references: str) -> Settings:
    return Settings(keys=[Key(name=f"k{n}", secret=secret) for n, secret in enumerate(references)])


def test_references_that_lead_to_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(LONG + "-file\n")
    file.chmod(0o600)
    assert found(keyed("env:A", f"file:{file}"), A=LONG) == []


@pytest.mark.parametrize(
    ("reference", "wrong"),
    [
        ("", "no reference"),
        (LONG, "no reference"),
        ("sk-canary:more", "no reference"),
        ("env:sk-canary", "no name of a variable"),
        ("env:", "no name of a variable"),
        ("env:UNSET", "not set"),
        ("env:EMPTY", "empty"),
        ("env:SPACED", "spaces"),
        ("env:SHORT", "too short"),
        ("env:LONG", "too long"),
        ("file:/nowhere/at/all", "cannot be read"),
        ("keyring:service/canary", "not supported"),
        ("vault:secret/canary", "not supported"),
        ("aws-sm:canary", "not supported"),
    ],
)
def test_references_that_do_not(reference: str, wrong: str) -> None:
    environ = {"EMPTY": "", "SPACED": "canary canary canary", "SHORT": "canary", "LONG": "canary" * 100}
    (complaint,) = found(keyed(reference), **environ)
    assert complaint.startswith("keys[0].secret: ")
    assert wrong in complaint
    assert "canary" not in complaint


def test_no_two_clients_share_a_key() -> None:
    assert found(keyed("env:A", "env:B"), A=LONG, B=LONG) == [
        "keys[1].secret: this is the same key as keys[0].secret; give each client its own"
    ]


def test_no_client_has_the_admin_key() -> None:
    (complaint,) = found(keyed("env:A"), A=LONG, GATEWAY_ADMIN_KEY=LONG)
    assert complaint.startswith("keys[0].secret: this is the same key as admin.key")


def test_an_upstream_needs_no_key_but_the_one_it_names() -> None:
    free = Upstream(name="a", base_url="http://x")
    keyed = Upstream(name="b", base_url="http://x", api_key="env:NOT_THERE")
    (complaint,) = found(Settings(upstreams=[free, keyed]))
    assert complaint.startswith("upstreams[1].api_key: ")


@pytest.mark.parametrize(
    ("configured", "environ", "reference"),
    [
        ("", {}, ""),
        ("", {"GATEWAY_ADMIN_KEY": LONG}, "env:GATEWAY_ADMIN_KEY"),
        ("env:GATEWAY_ADMIN_KEY", {}, ""),
        ("env:GATEWAY_ADMIN_KEY", {"GATEWAY_ADMIN_KEY": LONG}, "env:GATEWAY_ADMIN_KEY"),
        ("env:OTHER", {"GATEWAY_ADMIN_KEY": LONG}, "env:OTHER"),
    ],
)
def test_where_the_admin_key_is(configured: str, environ: dict[str, str], reference: str) -> None:
    assert admin_reference(Settings(admin=Admin(key=configured)), environ) == reference


def test_an_admin_key_that_is_named_elsewhere_must_be_there() -> None:
    (complaint,) = found(Settings(admin=Admin(key="env:OTHER")))
    assert complaint.startswith("admin.key: ")
