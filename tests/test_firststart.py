"""The first start on a store, made once however many make it; and what is printed then."""

import ast
import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.firststart import FirstStart, first_start, welcome
from gateway.runtime import Tasks
from gateway.settings import Admin, Key, Server, Settings, Upstream
from gateway.store.base import Keys
from gateway.store.redis import open_store
from tests.store.servers import Server as Valkey
from tests.store.servers import valkey

NOW = 1_790_000_000_000
OPENAI = Upstream(name="openai", base_url="https://api.openai.com/v1")


@pytest.fixture
async def keys() -> AsyncIterator[Keys]:
    """The keys of an empty store of this test's own."""
    tasks = Tasks()
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        server = Valkey(valkey(), Path(folder)).start()
        store = await open_store(
            server.url, spawn=tasks.spawn, deadline=5.0, timezone="UTC", max_memory=2**20
        )
        yield store.keys
        await store.close()
        await tasks.drain(0)
        server.stop()


async def started(keys: Keys, settings: Settings | None = None, **environ: str) -> FirstStart:
    return await first_start(keys, settings or Settings(), os.urandom, environ=environ, now=NOW)


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


async def test_the_first_start_makes_both_keys_and_keeps_their_hashes(keys: Keys) -> None:
    first = await started(keys)
    assert first.admin_key is not None
    assert first.client_key is not None
    assert first.admin_digest == digest(first.admin_key)
    (record,) = (await keys.load()).keys
    assert (record.name, record.created, record.team) == ("first", NOW, None)
    assert bytes.fromhex(record.digest) == digest(first.client_key)
    assert first.client_key.startswith(f"sk-gw-{record.id}-")


async def test_the_second_start_makes_none_and_knows_the_admin_key(keys: Keys) -> None:
    first, second = await started(keys), await started(keys)
    assert second == FirstStart(first.admin_digest)


async def test_of_many_that_start_together_one_has_both_keys_to_show(keys: Keys) -> None:
    starts = await asyncio.gather(*(started(keys) for _ in range(8)))
    (first,) = [start for start in starts if start.admin_key]
    assert first.client_key is not None
    assert [start for start in starts if start.client_key] == [first]
    assert {start.admin_digest for start in starts} == {first.admin_digest}
    assert len((await keys.load()).keys) == 1


async def test_an_attempt_after_one_that_broke_off_shows_the_same_keys(keys: Keys) -> None:
    def attempt() -> Awaitable[FirstStart]:
        return first_start(keys, Settings(), lambda size: b"\x07" * size, environ={}, now=NOW)

    first, again = await attempt(), await attempt()
    assert first.client_key is not None
    assert again == first
    assert len((await keys.load()).keys) == 1


class Overtaken:
    """The keys of a store, for a start that is overtaken right after it has made the admin key."""

    def __init__(self, keys: Keys, overtake: Callable[[], Awaitable[FirstStart]]) -> None:
        self._keys = keys
        self._overtake = overtake
        self.other: FirstStart | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keys, name)

    async def secret(self, name: str, fresh: bytes) -> bytes:
        if name != "admin":
            self.other = await self._overtake()
        return await self._keys.secret(name, fresh)


async def test_whoever_made_the_admin_key_makes_the_client_key_even_when_overtaken(keys: Keys) -> None:
    overtaken = Overtaken(keys, lambda: started(keys))
    first = await started(cast(Keys, overtaken))
    assert first.admin_key is not None
    assert first.client_key is not None
    assert overtaken.other == FirstStart(first.admin_digest)


async def test_a_configured_admin_key_is_used_and_not_shown(keys: Keys) -> None:
    settings = Settings(admin=Admin(key="env:ADMIN"))
    first = await started(keys, settings, ADMIN="sk-gw-admin-mine")
    assert first.admin_digest == digest("sk-gw-admin-mine")
    assert first.admin_key is None
    assert first.client_key is not None
    again = await started(keys, settings, ADMIN="another-admin-key")
    assert again == FirstStart(digest("another-admin-key"))


async def test_of_many_with_a_configured_admin_key_one_makes_the_client_key(keys: Keys) -> None:
    starts = await asyncio.gather(*(started(keys, GATEWAY_ADMIN_KEY="sk-gw-admin-mine") for _ in range(8)))
    assert sum(start.client_key is not None for start in starts) == 1


async def test_a_start_after_all_keys_were_revoked_makes_none(keys: Keys) -> None:
    await started(keys)
    (record,) = (await keys.load()).keys
    await keys.delete_key(record.id)
    assert (await started(keys)).client_key is None
    assert (await started(keys, GATEWAY_ADMIN_KEY="sk-gw-admin-mine")).client_key is None


async def test_who_declares_keys_needs_no_first_one(keys: Keys) -> None:
    first = await started(keys, Settings(keys=[Key(name="alice", secret="env:ALICE")]))
    assert first.admin_key is not None
    assert first.client_key is None
    assert (await keys.load()).keys == ()


def test_the_keys_are_not_in_the_repr() -> None:
    assert "canary" not in repr(FirstStart(b"canary", "canary", "canary"))


def text(first: FirstStart, settings: Settings | None = None, **how: bool) -> str:
    return welcome(
        first, settings or Settings(), [] if how.get("local") else [OPENAI], **{"local": False, **how}
    )


def program(printed: str) -> str:
    """The Python program in what was printed."""
    start, end = printed.index("from openai import"), printed.index("Or into a shell")
    return printed[start:end]


def test_what_is_printed_first_has_each_key_and_a_program_to_paste() -> None:
    printed = text(FirstStart(b"", "sk-gw-admin-secret", "sk-gw-abc-secret"), local=True)
    assert "\n  sk-gw-admin-secret\n" in printed
    assert "\n  sk-gw-abc-secret\n" in printed
    assert (
        "no OPENAI_API_KEY: serving SmolLM2-135M-Instruct on this machine's processor "
        "(x-gateway-upstream: local)" in printed
    )
    ast.parse(program(printed))
    assert 'client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="sk-gw-abc-secret")' in printed
    assert 'model="smollm2-135m-instruct"' in printed
    assert "curl http://127.0.0.1:8080/v1/chat/completions" in printed


def test_later_starts_print_the_addresses_alone() -> None:
    printed = text(FirstStart(b""))
    assert "openai: https://api.openai.com/v1" in printed
    assert "http://127.0.0.1:8081" in printed
    assert "gateway keys create NAME" in printed
    assert "sk-gw-" not in printed


def test_the_command_for_more_keys_can_be_typed_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Settings(admin=Admin(host="0.0.0.0", port=9001))
    assert "More keys: gateway --admin-url http://127.0.0.1:9001 keys create" in text(
        FirstStart(b""), elsewhere
    )
    monkeypatch.setattr("sys.argv", [".venv/bin/gateway", "serve"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert "More keys: .venv/bin/gateway keys create" in text(FirstStart(b""))


def test_the_local_model_beside_others_because_it_was_asked_for() -> None:
    printed = welcome(FirstStart(b""), Settings(), [OPENAI], local=True, chosen=True)
    assert "openai: https://" in printed
    assert "upstream  serving SmolLM2" in printed


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:9000/v1"),
        ("::", "http://[::1]:9000/v1"),
        ("gateway.lan", "http://gateway.lan:9000/v1"),
    ],
)
def test_the_address_is_one_that_can_be_called(host: str, address: str) -> None:
    settings = Settings(server=Server(host=host, port=9000))
    assert f'base_url="{address}"' in text(FirstStart(b"", "a", "c"), settings)


@pytest.mark.parametrize(
    ("models", "model"), [(["*"], "gpt-4o-mini"), (["llama-*", "llama-3"], "llama-3"), ([], "gpt-4o-mini")]
)
def test_the_model_is_one_that_the_upstream_serves(models: list[str], model: str) -> None:
    upstream = Upstream(name="u", base_url="http://h/v1", models=models)
    printed = welcome(FirstStart(b"", "a", "c"), Settings(), [upstream], local=False)
    assert f'model="{model}"' in printed
