"""Peers are started from what was installed; what does not install says why."""

from pathlib import Path

import pytest

from bench import chat, install, wrk
from bench.peer import PEERS, Peer


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_a_peer_listens_on_this_machine_alone_before_the_given_upstream(peer: Peer, tmp_path: Path) -> None:
    subject = peer.subject(tmp_path, 4321, tmp_path)
    told = " ".join([*subject.command, *subject.further.values()])
    told += " ".join(path.read_text() for path in tmp_path.glob("*.yaml"))
    assert str(subject.port) in told
    assert "127.0.0.1:4321" in told
    assert subject.rows[0].name == subject.stream_row == peer.name


def test_what_a_peer_needs_to_be_told_is_in_each_request() -> None:
    further = {"x-provider": "openai"}
    assert b"\r\nx-provider: openai\r\nContent-Length: 3\r\n\r\n" in chat.head(80, 3, further)
    assert "x-provider: openai" in wrk.script(80, True, further)
    assert chat.head(80, 3).count(b"\r\n") == chat.head(80, 3, further).count(b"\r\n") - 1


def test_what_is_not_installed_has_no_version(tmp_path: Path) -> None:
    assert {peer.version(tmp_path) for peer in PEERS.values()} == {"not installed"}


def test_a_package_that_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    (tmp_path / ".made").touch()
    install.from_pypi(tmp_path, "no-such-package")
    install.from_npm(tmp_path, "no-such-package")


def test_an_installer_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(install.NotInstalledError, match="missing-tool"):
        install._run([str(tmp_path / "missing-tool")])
    with pytest.raises(install.NotInstalledError, match="no luck"):
        install._run(["/bin/sh", "-c", "echo no luck >&2; exit 3"])
