"""The program in docs/the-script.md, as it stands there: openai 0.28, a key that was kept, a real model."""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.legacy import legacy
from tests.logins import NO_KEYRING
from tests.served import Served, served

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "the-script.md").read_text(encoding="utf-8")
SCRIPT, TODAY = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NOT_A_KEY = "sk-of-nobody"  # in OPENAI_API_KEY, where the program does not look

pytestmark = [pytest.mark.local, pytest.mark.timeout(300)]


async def test_the_script_prints_a_message(tmp_path: Path) -> None:
    async with served(tmp_path, environ={"GATEWAY_LOCAL_THREADS": "1"}) as gateway:
        settings = tmp_path / "settings"
        with_key = {"GATEWAY_API_KEY": gateway.client_key, "XDG_CONFIG_HOME": str(tmp_path / "empty")}
        assert await _run(gateway, tmp_path, with_key)
        await _login(gateway, settings)
        assert await _run(gateway, tmp_path, {"XDG_CONFIG_HOME": str(settings)})
        assert await _asked(gateway) == 1  # the same question by the same key: the second was a hit
        assert await _today(gateway, settings)


async def _run(gateway: Served, folder: Path, environ: Mapping[str, str]) -> str:
    """What it prints, in a Python that has this one package of ours and nothing else of it."""
    packages = folder / "packages"
    packages.mkdir(exist_ok=True)
    link = packages / "openai_secret_manager"
    if not link.exists():
        link.symlink_to(ROOT / "openai_secret_manager")
    program = (
        f"import os, sys\nsys.path.insert(0, {str(packages)!r})\nos.environ.update({dict(environ)!r})\n"
        f"{SCRIPT}\nassert 'gateway' not in sys.modules"
    )
    return "\n".join(await legacy(program, gateway.url + "/v1", NOT_A_KEY, folder)).strip()


async def _login(gateway: Served, settings: Path) -> None:
    await _python(
        *("-m", "gateway", "login", "--base-url", f"{gateway.url}/v1", "--api-key", "-"),
        settings=settings,
        typed=gateway.client_key,
    )


async def _today(gateway: Served, settings: Path) -> bool:
    """The page's second program finds the same key and the gateway; it ends where questions would begin."""
    program = f"{TODAY}\nprint(client.models.list().data[0].id, client.base_url)"
    out = await _python("-c", program, settings=settings)
    return out.split() == ["smollm2-135m-instruct", f"{gateway.url}/v1/"]


async def _python(*arguments: str, settings: Path, typed: str = "") -> str:
    environ = {"XDG_CONFIG_HOME": str(settings), "PYTHON_KEYRING_BACKEND": NO_KEYRING}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        cwd=ROOT,
        env=environ | {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(typed.encode())
    assert process.returncode == 0, err.decode()
    return out.decode()


async def _asked(gateway: Served) -> float:
    return await gateway.metric('gateway_upstream_requests_total{outcome="ok",upstream="local"}')
