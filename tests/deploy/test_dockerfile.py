import re

from tests.deploy.conftest import Run
from tests.deploy.live import DEPLOY

DOCKERFILE = DEPLOY / "Dockerfile"


def instructions(name: str) -> list[str]:
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)


def test_hadolint_has_nothing_to_say(run: Run) -> None:
    assert run("hadolint", DOCKERFILE) == ""


def test_the_gateway_runs_as_nobody_in_particular() -> None:
    (user,) = instructions("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_it_serves_by_the_mounted_configuration() -> None:
    assert instructions("CMD") == ['["gateway", "serve", "--config", "/etc/gateway/gateway.toml"]']
    assert instructions("EXPOSE") == ["8080 8081"]


def test_it_is_healthy_when_it_is_ready() -> None:
    (check,) = instructions("HEALTHCHECK")
    assert "http://127.0.0.1:8081/readyz" in check


def test_only_what_the_image_needs_is_sent_to_the_builder() -> None:
    lines = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    copied = {name for line in instructions("COPY") for name in line.split()[:-1]}
    assert copied == kept
