import pytest
from aiohttp.http import HttpVersion, HttpVersion10, HttpVersion11, RawResponseMessage
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.upstream.answerhead import is_sound


def head(
    *fields: tuple[str, str], version: HttpVersion = HttpVersion11, reason: str = "OK"
) -> RawResponseMessage:
    raw = tuple((name.encode(), value.encode()) for name, value in fields)
    return RawResponseMessage(
        version, 200, reason, CIMultiDictProxy(CIMultiDict(fields)), raw, False, None, False, False
    )


@pytest.mark.parametrize(
    "message",
    [
        head(),
        head(("Content-Length", "0")),
        head(("content-length", "12"), ("X-y_z.1", "a")),
        head(("Transfer-Encoding", "Chunked ")),
        head(("Content-Length", "5"), version=HttpVersion10),
        head(reason=""),
        head(reason="caf\xe9 \t"),
    ],
)
def test_sound(message: RawResponseMessage) -> None:
    assert is_sound(message)


@pytest.mark.parametrize(
    "message",
    [
        head(version=HttpVersion(2, 0)),
        head(version=HttpVersion(0, 9)),
        head(reason="O\0K"),
        head(reason="O\rK"),
        head(("Content-Length ", "5")),
        head(("", "5")),
        head(("X\0", "5")),
        head(("X\n", "5")),
        head(("Content-Length", "5"), ("Content-Length", "5")),
        *(
            head(("Content-Length", value))
            for value in ("", "-1", "+1", "1_0", "\u0661", "0x1", "5, 5", "18446744073709551615")
        ),
        head(("Content-Length", "5"), ("Transfer-Encoding", "chunked")),
        *(
            head(("Transfer-Encoding", value))
            for value in ("", "gzip", "gzip, chunked", "chunked, chunked", "identity")
        ),
        head(("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")),
        head(("Transfer-Encoding", "chunked"), version=HttpVersion10),
    ],
)
def test_not_sound(message: RawResponseMessage) -> None:
    assert not is_sound(message)
