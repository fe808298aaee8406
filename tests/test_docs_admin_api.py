"""The page of the admin API: every route and no other, and examples that happen as they are written."""

import ast
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import ADMIN_KEY, Running, running

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "admin-api.md").read_text(encoding="utf-8")
ROUTED = ("admin.py", "public.py")
EXAMPLES = re.findall(r"^```http\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CONFIGURATION = """
[server]
port = 0
[admin]
port = 0
key = "env:ADMIN"
[store]
url = "embedded:{folder}"
[[upstreams]]
name = "openai"
base_url = "http://127.0.0.1:9/v1"
"""


def registered() -> Iterator[str]:
    """`GET /admin/v1/keys/{id}` for each handler that the web room adds to its tables."""
    for name in ROUTED:
        for node in ast.walk(ast.parse((ROOT / "gateway" / "web" / name).read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "add"
            ):
                yield from (f"{keyword.arg} {path(node.args[0])}" for keyword in node.keywords)


def path(node: ast.expr) -> str:
    """The path in the source: a literal, or one behind the API's prefix."""
    if isinstance(node, ast.JoinedStr):
        return "".join(path(part) for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "/admin/v1/"


def test_every_route_is_documented_and_no_other() -> None:
    documented = re.findall(r"^### `([A-Z]+ /\S+)`$", PAGE, re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == set(registered())


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    text = CONFIGURATION.format(folder=tmp_path / "data")
    async with running(text, tmp_path, {"ADMIN": ADMIN_KEY}) as opened:
        (first,) = opened.gateway.clients.keys()  # the one of the first start, which is not on the page
        async with opened.admin("DELETE", f"/admin/v1/keys/{first.id}"):
            pass
        yield opened


async def test_the_examples_happen_as_they_are_written(gateway: Running) -> None:
    known: dict[str, str] = {}  # ids of the page → those of this gateway
    for example in EXAMPLES:
        asked, _, expected = example.partition("\n\n")
        status, _, wanted = expected.partition("\n")
        got = await call(gateway, substituted(asked, known))
        assert (got[0], shape(got[1])) == (int(status), shape(json.loads(wanted))), asked
        known |= renamed(json.loads(wanted), got[1])
    assert len(EXAMPLES) > 12


async def call(gateway: Running, asked: str) -> tuple[int, Any]:
    line, _, body = asked.partition("\n")
    method, target = line.split(" ")
    if target.startswith("/gateway/"):
        async with gateway.admin("POST", "/admin/v1/keys", {"name": "first"}) as made:
            key = (await made.json())["key"]
        asking = gateway.get(target, key=key)
    else:
        asking = gateway.admin(method, target, json.loads(body) if body else None)
    async with asking as answer:
        return answer.status, await answer.json()


def renamed(page: Any, got: Any) -> dict[str, str]:
    return {page["id"]: got["id"]} if "id" in page else {}


def substituted(text: str, known: dict[str, str]) -> str:
    for written, real in known.items():
        text = text.replace(written, real)
    return text


def shape(value: Any) -> Any:
    """The same for two answers that differ in nothing but ids and times: those are text of some kind."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else value
    if isinstance(value, str) and re.search(r"\d{4}-\d\d-\d\d|[0-9a-f]{12}|https?://", value):
        return "…"
    return value
