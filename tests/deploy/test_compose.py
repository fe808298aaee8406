import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import load
from tests.deploy.conftest import Run
from tests.deploy.live import DEPLOY

ROOT = DEPLOY.parent
ENVIRONMENT = {"OPENAI_API_KEY": "sk-of-a-test", "GATEWAY_ADMIN_KEY": "a-key-of-a-test-that-is-long-enough"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return made


def test_the_compose_file_is_one(run: Run) -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml")


def test_everything_that_is_mounted_is_there(services: dict[str, Any]) -> None:
    mounts = [mount.split(":") for service in services.values() for mount in service.get("volumes", ())]
    mounted = [mount for mount in mounts if mount[0].startswith("./")]
    assert len(mounted) == 4
    for source, _, mode in mounted:
        assert (ROOT / source).exists(), source
        assert mode == "ro"


def test_the_public_port_alone_leaves_the_machine(services: dict[str, Any]) -> None:
    ports = {port for service in services.values() for port in service.get("ports", ())}
    assert {port for port in ports if not port.startswith("127.0.0.1:")} == {"8080:8080"}
    assert "127.0.0.1:8081:8081" in ports
    assert "ports" not in services["state"] | services["cache"]


def test_every_secret_comes_from_the_environment_and_must_be_there(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if re.search("KEY|PASSWORD|SECRET|TOKEN", name):
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), name


def test_every_service_is_watched_and_harmless(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "healthcheck" in service or "build" in service, name
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"]), name
        assert "user" in service or "build" in service, name


def test_the_state_is_kept_and_the_cache_may_forget(services: dict[str, Any]) -> None:
    state, cache = (" ".join(services[name]["command"]) for name in ("state", "cache"))
    assert "--appendonly yes" in state
    assert "--maxmemory-policy noeviction" in state
    assert "state:/data" in services["state"]["volumes"]
    assert "--maxmemory " in cache
    assert "--maxmemory-policy allkeys-lru" in cache


def test_what_the_gateway_must_not_lose_is_on_a_volume_of_its_own(services: dict[str, Any]) -> None:
    settings = load(DEPLOY / "gateway.toml", ENVIRONMENT)
    assert f"gateway:{settings.server.data}" in services["gateway"]["volumes"]
    assert settings.ledger.sink.startswith(f"sqlite:{settings.server.data}/")
    assert f"--mode 0700 {settings.server.data}" in (DEPLOY / "Dockerfile").read_text()


def test_the_gateway_is_given_time_to_drain(services: dict[str, Any]) -> None:
    settings = load(DEPLOY / "gateway.toml", ENVIRONMENT)
    grace = float(services["gateway"]["stop_grace_period"].removesuffix("s"))
    assert grace > settings.server.drain_timeout + 10


def test_the_configuration_names_the_other_services(services: dict[str, Any]) -> None:
    settings = load(DEPLOY / "gateway.toml", ENVIRONMENT)
    assert (settings.store.url, settings.cache.url) == ("redis://state:6379/0", "redis://cache:6379/0")
    assert {"state", "cache"} <= set(services)
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 8080)
    assert (settings.admin.host, settings.admin.port) == ("0.0.0.0", 8081)
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert scraped["static_configs"] == [{"targets": ["gateway:8081"]}]


def test_the_configuration_holds_no_secret() -> None:
    text = (DEPLOY / "gateway.toml").read_text()
    assert sorted(re.findall(r'^(?:api_)?key = "(.*)"$', text.replace('"  #', '"\n#'), re.MULTILINE)) == [
        "env:GATEWAY_ADMIN_KEY",
        "env:OPENAI_API_KEY",
    ]


def test_no_tag_floats(services: dict[str, Any]) -> None:
    images = [service["image"] for service in services.values() if "image" in service]
    assert all(re.search(r":v?\d+\.\d+", image) for image in images), images
    assert Path(ROOT / services["gateway"]["build"]["dockerfile"]).exists()
