"""What the page of deployment prints works: the configurations are read, and nginx serves a stream."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateway.config import load
from tests.deploy.conftest import need
from tests.running import KEY, Running
from tests.scripted import Scripted, sse
from tests.served import free_port
from tests.waiting import until

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
CERTIFICATE = ROOT / "tests" / "upstream" / "self_signed.pem"  # with its key
DELTA = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
END = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_configurations_can_be_read(text: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    load(file, {})


def test_every_file_that_is_named_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    named = re.findall(r"\b(?:deploy|docs)/[\w./-]+\.\w+", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    assert [name for name in named if not (ROOT / name).exists()] == []


@contextlib.asynccontextmanager
async def nginx(text: str, folder: Path) -> AsyncIterator[None]:
    file = folder / "nginx.conf"
    paths = "".join(
        f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    frame = "daemon off; master_process off; pid nginx.pid; error_log stderr; events {}"
    file.write_text(f"{frame} http {{ access_log off; {paths}\n{text}\n}}")
    process = await asyncio.create_subprocess_exec(
        need("nginx"), "-p", str(folder), "-c", str(file), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_nginx_passes_a_stream_on_as_it_is_made(
    gateway: Running, upstream: Scripted, tmp_path: Path
) -> None:
    (text,) = blocks("nginx")
    port = free_port()
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
    text = re.sub(r"/etc/nginx/gateway\.(pem|key)", str(CERTIFICATE), text)
    text = text.replace("127.0.0.1:8080", gateway.url.removeprefix("http://"))
    more = asyncio.Event()
    upstream.plan(sse([DELTA, more, END]))
    trusted = ssl.create_default_context(cafile=CERTIFICATE)
    trusted.check_hostname = False
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with nginx(text, tmp_path), aiohttp.ClientSession() as session:
        await until(lambda: listens(port))
        headers = {"Authorization": f"Bearer {KEY}"}
        async with session.post(
            f"https://127.0.0.1:{port}/v1/chat/completions", json=body, headers=headers, ssl=trusted
        ) as answer:
            assert await answer.content.readuntil(b"\n\n")
            more.set()
            assert (await answer.content.read()).endswith(b"data: [DONE]\n\n")
