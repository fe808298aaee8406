import pytest
from aiohttp.http import HttpVersion, HttpVersion10, HttpVersion11, RawResponseMessage
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.upstream.answerhead import (
    Unsound,
    _known,
    check_reason,
    check_sizes,
    ends_with_connection,
    headers_of,
    is_sound,
)


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


def test_names_are_tokens_and_values_have_no_control_characters() -> None:
    made = headers_of([(b"X-y_z.1", b"a\tb \t"), (b"x-Y_Z.1", b"\xff"), (b"E", b"")])
    assert list(made.items()) == [("X-y_z.1", "a\tb"), ("x-Y_Z.1", "\udcff"), ("E", "")]
    assert made["x-y_z.1"] == "a\tb"
    for bad in ((b"A ", b""), (b"", b""), (b"A\xc3", b""), (b"A", b"\0"), (b"A", b"b\x7f"), (b"A", b"b\rc")):
        for _ in range(2):
            with pytest.raises(Unsound):
                headers_of([(b"X", b"\xff"), bad])


def test_names_that_are_made_up_are_not_all_remembered() -> None:
    for number in range(3000):
        assert list(headers_of([(b"x-%d" % number, b"")])) == [f"x-{number}"]
    assert len(_known) <= 1024


@pytest.mark.parametrize("count", [128, 129])
def test_there_are_not_too_many(count: int) -> None:
    fields = [(b"A", b"b")] * count
    if count <= 128:
        assert len(headers_of(fields)) == count
    else:
        with pytest.raises(Unsound):
            headers_of(fields)


@pytest.mark.parametrize(
    ("status", "version", "fields", "ends"),
    [
        (200, "1.1", [], True),
        (200, "1.0", [("Content-Length", "3")], False),
        (200, "1.1", [("Transfer-Encoding", "Chunked ")], False),
        (103, "1.1", [], True),
        (200, "2.0", [("Content-Length", "3")], None),
        (200, "0.9", [], None),
        (200, "1.0", [("Transfer-Encoding", "chunked")], None),
        (200, "1.1", [("Transfer-Encoding", "chunked"), ("transfer-encoding", "chunked")], None),
        (200, "1.1", [("Transfer-Encoding", "gzip, chunked")], None),
        (200, "1.1", [("Content-Length", "18446744073709551615")], None),
        (103, "1.1", [("Content-Length", "0")], None),
    ],
)
def test_what_ends_an_answer(
    status: int, version: str, fields: list[tuple[str, str]], ends: bool | None
) -> None:
    headers = CIMultiDict(fields)
    if ends is None:
        with pytest.raises(Unsound):
            ends_with_connection(status, version, headers)
    else:
        assert ends_with_connection(status, version, headers) is ends


@pytest.mark.parametrize(
    "fields", [[(b"A", b"b" * 8190)], [(b"A" * 8000, b"b" * 200)], [(b"A", b"b" * 8000)] * 9]
)
def test_sizes_are_bounded(fields: list[tuple[bytes, bytes]]) -> None:
    check_sizes([(b"A", b"b" * 8189)] * 8)
    with pytest.raises(Unsound):
        check_sizes(fields)


def test_reasons() -> None:
    check_reason(b"caf\xc3\xa9 \t" * 100)
    for bad in (b"O\0K", b"O\rK", b"x" * 8191):
        with pytest.raises(Unsound):
            check_reason(bad)
