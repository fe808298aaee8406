"""Steady (`@stdy/cli` of npm): it validates requests against the description, and makes up answers."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.scripted import Answer, Seen, Wire
from tests.served import PATIENCE, free_port

BINARY: Final = "@stdy/cli-*/bin/steady*"

# The last four: objects in queries and forms as OpenAI's clients write them, and streams that end soon.
_OPTIONS: Final = (
    "--quiet",
    "--no-color",
    "--validator-strict-oneof",
    "--validator-query-object-format=brackets",
    "--validator-form-object-format=brackets",
    "--stream-count=3",
    "--stream-interval=1",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A place of a request below which the mock complains wrongly. It is made to answer all the same."""

    place: str
    reason: str


# By operation. What is not in here must be accepted without a complaint.
FAULTS: Final[Mapping[str, Fault]] = {
    "create-realtime-call": Fault(
        "body.session",
        "a part that the description encodes as application/json is taken for a string",
    ),
    "createTranscription": Fault(
        "body.chunking_strategy",
        "numbers inside an object of a multipart form are taken for strings",
    ),
}


@contextlib.asynccontextmanager
async def mock(binary: Path, description: Path) -> AsyncIterator[int]:
    """Run it; its port. It has ended when the context has."""
    port = free_port()
    arguments = [str(binary), "--host", "127.0.0.1", "--port", str(port), *_OPTIONS, str(description)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await _listening(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


async def _listening(process: subprocess.Popen[bytes], port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while process.poll() is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
    raise AssertionError(f"the mock server ended with status {process.returncode}")


def passed_to(port: int, extra: Mapping[str, str]) -> Answer:
    """The mock's own answer, byte for byte, to the request as it arrived and these headers with it."""

    async def send(seen: Seen, wire: Wire) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(_request(seen, extra))
            while data := await reader.read(65536):
                await wire.send(data)
        finally:
            writer.close()
        wire.close()

    return Answer(send)


def _request(seen: Seen, extra: Mapping[str, str]) -> bytes:
    """The mock has the API at its root; and it ends the connection, so that its answer's end is seen."""
    crossing = [
        (name, value)
        for name, value in seen.headers
        if name.lower() not in ("connection", "content-length", "transfer-encoding")
    ]
    headers = [*crossing, *extra.items(), ("connection", "close"), ("content-length", str(len(seen.body)))]
    lines = [f"{seen.method} {seen.path.removeprefix('/v1')} HTTP/1.1", *(f"{n}: {v}" for n, v in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + seen.body
