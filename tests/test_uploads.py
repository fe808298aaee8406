"""Forms on their way through: looked into, unchanged, and nothing left behind."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest, RequestTimeout
from gateway.uploads import FormUpload, open_upload
from tests.arriving import Arriving, pieces_of, whole

TYPE = "multipart/form-data; boundary=frontier"
WANTED = frozenset({"model", "n", "stream"})
FILE_HEAD = b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
END = b"--frontier--\r\n"


def field(name: str, value: bytes) -> bytes:
    return b'--frontier\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), value)


def file(size: int) -> bytes:
    return FILE_HEAD + (bytes(range(256)) * (size // 256 + 1))[:size] + b"\r\n"


MODEL = field("model", b"whisper-1")


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = psutil.Process().num_fds()
    yield
    assert list(tmp_path.iterdir()) == []
    assert psutil.Process().num_fds() <= before


async def opened(form: bytes, size: int = 1000, look_ahead: int = 4000, **more: bool) -> FormUpload:
    upload = Arriving(*pieces_of(form, size), **more)
    return await open_upload(upload, TYPE, WANTED, look_ahead=look_ahead)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("look_ahead", [100, 4000, 10**6])
@pytest.mark.parametrize(
    "form",
    [MODEL + file(50_000) + END, file(50_000) + MODEL + END, file(10) + MODEL + field("n", b"2") + END],
)
async def test_a_form_passes_unchanged(form: bytes, look_ahead: int, known: bool) -> None:
    upload = await opened(form, look_ahead=look_ahead, known=known)
    assert upload.fields["model"] == "whisper-1"
    assert upload.length == (len(form) if known else None)
    assert await whole(upload) == form


async def test_only_so_much_is_read_ahead() -> None:
    form = MODEL + file(100_000) + END
    source = Arriving(*pieces_of(form, 1000))
    upload = await open_upload(source, TYPE, WANTED, look_ahead=4000)
    assert (source.asked, upload.complete, upload.names) == (5, False, ("model", "file"))
    assert await whole(upload) == form


async def test_nothing_more_is_read_when_all_is_known() -> None:
    form = MODEL + field("n", b"2") + field("stream", b"true") + file(100_000) + END
    source = Arriving(*pieces_of(form, 1000))
    upload = await open_upload(source, TYPE, WANTED)
    assert (source.asked, upload.fields) == (1, {"model": "whisper-1", "n": "2", "stream": "true"})
    assert await whole(upload) == form


async def test_what_comes_soon_after_the_model_is_known_too() -> None:
    """As curl writes it: the file, the model, the rest."""
    upload = await opened(file(50_000) + MODEL + field("n", b"2") + END)
    assert (upload.fields, upload.complete) == ({"model": "whisper-1", "n": "2"}, True)
    assert upload.names == ("file", "model", "n")
    upload.close()


async def test_needed_fields_are_waited_for() -> None:
    form = MODEL + file(50_000) + field("n", b"2") + END
    upload = await open_upload(
        Arriving(*pieces_of(form, 1000)), TYPE, WANTED, needed=frozenset({"model", "n"}), look_ahead=4000
    )
    assert upload.fields == {"model": "whisper-1", "n": "2"}
    assert await whole(upload) == form


async def test_a_form_without_the_model_is_read_to_its_end() -> None:
    form = file(50_000) + END
    upload = await opened(form)
    assert (upload.complete, dict(upload.fields)) == (True, {})
    assert await whole(upload) == form


async def test_where_nothing_is_wanted_nothing_is_read() -> None:
    source = Arriving(b"no form at all")
    upload = await open_upload(source, TYPE, frozenset())
    assert (source.asked, upload.names, upload.length) == (0, (), 14)
    assert await whole(upload) == b"no form at all"


@pytest.mark.parametrize("content_type", ["application/sdp", "application/octet-stream", ""])
async def test_what_is_no_form_passes_unread(content_type: str) -> None:
    source = Arriving(b"v=0\r\n")
    upload = await open_upload(source, content_type, WANTED)
    assert source.asked == 0
    assert await whole(upload) == b"v=0\r\n"


@pytest.mark.parametrize("new", ["m", "a-much-longer-name-than-before", "naïve", ""])
@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("form", [MODEL + file(3000) + END, file(9000) + MODEL + END])
async def test_the_model_can_be_changed(form: bytes, size: int, new: str) -> None:
    upload = (await opened(form, size)).with_model(new)
    expected = form.replace(b"whisper-1", new.encode())
    assert upload.length == len(expected)
    assert await whole(upload) == expected


@given(st.integers(1, 400), st.integers(1, 400), st.text("abc", max_size=30))
def test_any_pieces_are_changed_alike(size: int, look_ahead: int, new: str) -> None:
    form = file(100) + MODEL + file(100) + END

    async def through() -> bytes:
        return await whole((await opened(form, size, look_ahead)).with_model(new))

    assert asyncio.run(through()) == form.replace(b"whisper-1", new.encode())


async def test_a_changed_model_cannot_break_the_form() -> None:
    upload = await opened(MODEL + END)
    for new in ("x--frontier--x", "a\r\nb"):
        with pytest.raises(InvalidRequest):
            upload.with_model(new)
    upload.close()


async def test_a_model_that_was_not_seen_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="model"):
        (await opened(file(10) + END)).with_model("x")


async def until_refused(upload: FormUpload) -> tuple[bytes, InvalidRequest]:
    got = b""
    try:
        async for data in upload:
            got += data
    except InvalidRequest as error:
        return got, error
    raise AssertionError("nothing was refused")


async def test_a_field_that_comes_again_later_never_completes_the_body() -> None:
    form = MODEL + file(100_000) + field("model", b"dear") + END
    for known in (True, False):
        upload = await opened(form, known=known)
        got, error = await until_refused(upload)
        assert error.code == "duplicate_key"
        assert len(got) < form.index(b"dear")


@pytest.mark.parametrize("known", [True, False])
async def test_a_form_without_an_end_never_completes_the_body(known: bool) -> None:
    form = MODEL + file(100_000)
    upload = await opened(form, known=known)
    got, error = await until_refused(upload)
    assert error.code == "invalid_multipart"
    # In chunks it is the last chunk that is missing, of a known length the last bytes.
    assert len(got) < len(form) or not known


async def test_what_the_client_does_ends_it() -> None:
    late = RequestTimeout("late")
    with pytest.raises(RequestTimeout):
        await open_upload(
            Arriving(*pieces_of(file(50_000), 1000), late, known=False), TYPE, WANTED, look_ahead=10
        )
    upload = await open_upload(
        Arriving(MODEL, *pieces_of(file(50_000), 1000), late, length=60_000), TYPE, WANTED, look_ahead=10
    )
    with pytest.raises(RequestTimeout):
        await whole(upload)


async def test_cancelled_while_looking_it_leaves_nothing() -> None:
    source = Arriving(*pieces_of(file(50_000), 1000), asyncio.Event(), known=False)
    looking = asyncio.create_task(open_upload(source, TYPE, WANTED, look_ahead=10))
    async with asyncio.timeout(20):
        while source.asked < 52:
            await asyncio.sleep(0)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


async def test_it_can_be_read_once() -> None:
    upload = await opened(MODEL + END)
    await whole(upload)
    with pytest.raises(RuntimeError):
        await whole(upload)


async def test_closed_unread_it_leaves_nothing() -> None:
    upload = await opened(file(50_000) + MODEL + END)
    upload.close()
    upload.close()
    assert "arrived" in repr(upload)
