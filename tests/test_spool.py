"""Bytes put aside come back in order, and nothing is left behind."""

import asyncio
import logging
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Unavailable
from gateway.spool import Spool


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = psutil.Process().num_fds()
    yield
    assert list(tmp_path.iterdir()) == []
    assert psutil.Process().num_fds() <= before


async def taken(spool: Spool) -> bytes:
    pieces = []
    while data := await spool.take():
        pieces.append(data)
    return b"".join(pieces)


async def test_a_little_stays_in_memory() -> None:
    spool = Spool(10)
    await spool.put(b"hello")
    await spool.put(b"again")
    assert repr(spool) == "<Spool 10 bytes held, no file>"
    assert await taken(spool) == b"helloagain"


async def test_much_goes_to_a_file_without_a_name(tmp_path: Path) -> None:
    spool = Spool(10)
    for number in range(100):
        await spool.put(b"%06d" % number)
    assert "a file" in repr(spool)
    assert list(tmp_path.iterdir()) == []
    assert await taken(spool) == b"".join(b"%06d" % number for number in range(100))
    assert await spool.take() == b""


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=20), st.integers(1, 50))
def test_what_is_put_is_taken(pieces: list[bytes], room: int) -> None:
    async def through() -> bytes:
        spool = Spool(room)
        for piece in pieces:
            await spool.put(piece)
        return await taken(spool)

    assert asyncio.run(through()) == b"".join(pieces)


async def test_closed_in_the_middle_it_leaves_nothing() -> None:
    spool = Spool(1)
    await spool.put(b"abc")
    await spool.put(b"def")
    assert await spool.take()
    spool.close()
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        await spool.take()


async def test_a_file_is_not_closed_under_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its descriptor might be another file's by then."""
    spool = Spool(1)
    await spool.put(b"abc")
    busy, free, seen = threading.Event(), threading.Event(), []
    read = spool._read

    def slowly() -> bytes:
        busy.set()
        free.wait(20)
        seen.append(read())
        return b""

    monkeypatch.setattr(spool, "_read", slowly)
    taking = asyncio.create_task(spool.take())
    await asyncio.to_thread(busy.wait, 20)
    taking.cancel()
    spool.close()
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await taking
    async with asyncio.timeout(20):
        while spool._file is not None:
            await asyncio.sleep(0)
    assert seen == [b"a"]


async def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    spool = Spool(1)
    with caplog.at_level(logging.ERROR), pytest.raises(Unavailable) as caught:
        await spool.put(b"abc")
    assert caught.value.code == "overloaded"
    assert [record.message for record in caplog.records] == ["spooling failed"]
    spool.close()
