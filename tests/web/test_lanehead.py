"""Which heads the lane takes. That it reads them as aiohttp does is tested in `test_lane_differences`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.lanehead import MOST_BYTES, MOST_FIELDS, Head, Heads, NoHead
from tests.web.raw import CANARY

HEAD = (
    "POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: a:80\r\nAuthorization: Bearer x\r\n"
    "Content-Length: 12\r\nX-Y:  z \t\r\n\r\n"
)


def read(text: str) -> Head | NoHead:
    return Heads().read(text.encode("latin-1"))


def test_a_plain_head() -> None:
    head = read(HEAD + "{}{}")
    assert isinstance(head, Head)
    assert (head.endpoint.name, head.query, head.length) == ("chat.completions", "a=b", 12)
    assert (head.keep_alive, head.size) == (True, len(HEAD))
    assert head.headers["x-y"] == "z"
    assert list(head.header_values("AUTHORIZATION")) == ["Bearer x"]
    assert list(head.header_values("api-key")) == []


def test_no_key_is_shown() -> None:
    head = read(HEAD.replace("Bearer x", f"Bearer {CANARY}"))
    assert CANARY not in repr(head)


@pytest.mark.parametrize("value", ["keep-alive", "Keep-Alive", "close", "CLOSE"])
def test_the_connection_goes_on_or_ends(value: str) -> None:
    head = read(HEAD.replace("X-Y:  z", f"Connection: {value}"))
    assert isinstance(head, Head)
    assert head.keep_alive is (value.lower() == "keep-alive")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("POST", "PUT"),
        ("POST ", "POST  "),
        ("HTTP/1.1", "HTTP/1.0"),
        ("/v1/chat/completions", "/v1/chat/completions/"),
        ("/v1/chat/completions", "/v1/models"),
        ("?a=b", "?a=b#c"),
        ("?a=b", "?a=\x7f"),
        ("Host: a:80", "Host: a/b"),
        ("Host: a:80", "X: y"),
        ("Host: a:80", "Host: a\r\nHost: a"),
        ("Content-Length: 12", "Content-Length: "),
        ("Content-Length: 12", "Content-Length: +12"),
        ("Content-Length: 12", "Content-Length: 12, 12"),
        ("Content-Length: 12", "Content-Length: " + "0" * 17 + "12"),
        ("Content-Length: 12", "Content-Length: 12\r\nTransfer-Encoding: chunked"),
        ("Content-Length: 12", "Transfer-Encoding: chunked"),
        ("X-Y:", "X-Y :"),
        ("X-Y:", "Expect:"),
        ("X-Y:", "Upgrade:"),
        ("X-Y:", "Trailer:"),
        ("X-Y:", "Content-Encoding:"),
        ("X-Y:", "Connection: upgrade,"),
        ("X-Y:", "AUTHORIZATION:"),
        ("X-Y:", " X-Y:"),
        ("  z", " z\n"),
        ("  z", " z\r"),
        ("  z", " \0"),
        ("  z", " \xe9"),
        ("  z", " " + "z" * MOST_BYTES),
        ("X-Y:", "".join(f"X{number}: y\r\n" for number in range(MOST_FIELDS)) + "X-Y:"),
    ],
)
def test_what_is_not_plain_is_left_alone(old: str, new: str) -> None:
    assert old in HEAD
    assert read(HEAD.replace(old, new, 1)) is NoHead.ODD


@given(st.integers(0, len(HEAD) - 1))
def test_a_beginning_is_waited_for(size: int) -> None:
    assert read(HEAD[:size]) is NoHead.UNFINISHED


@pytest.mark.parametrize(
    "beginning",
    [
        "GET /",
        "POST /admin",
        "\r\n",
        "\x16\x03\x01",
        "POST /v1/chat/completions\t",
        "POST /v1/chat/completions HTTP/1.1\r\nX : y",
        "POST /v1/chat/completions HTTP/1.1\r\nX: \x01",
        "POST /v1/chat/completions HTTP/1.1\r\nExpect: x\r\nX: y",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nHost: a\r\nX: y",
        "POST /v1/" + "x" * MOST_BYTES,
        "POST /v1/chat/completions HTTP/1.1\r\n" + "".join(f"X{n}: y\r\n" for n in range(MOST_FIELDS + 2)),
    ],
)
def test_what_is_odd_already_is_not_waited_for(beginning: str) -> None:
    assert read(beginning) is NoHead.ODD


LENGTHS = st.lists(
    st.tuples(st.sampled_from(["", "0", "00"]), st.integers(0, 10**9), st.sampled_from(["", " ", "x", "\r"])),
    min_size=1,
    max_size=6,
)


@given(LENGTHS, st.sampled_from(["Content-Length: ", "content-LENGTH:\t", "Content-Length:"]))
def test_a_head_that_comes_again_reads_as_if_it_were_new(
    lengths: list[tuple[str, int, str]], name: str
) -> None:
    heads = Heads()
    for zeros, length, odd in lengths:
        text = HEAD.replace("Content-Length: 12", f"{name}{zeros}{length}{odd}")
        data = f"{text}{{}}".encode()
        assert heads.read(data) == Heads().read(data)
        assert heads.read(data[:-5]) == Heads().read(data[:-5])


def test_what_is_like_the_last_one_and_another_is_another() -> None:
    heads = Heads()
    for one, other in ((HEAD, HEAD.replace("Bearer x", "Bearer y")), (HEAD, HEAD.replace("z \t", "zz"))):
        first, second = heads.read(one.encode()), heads.read(other.encode())
        assert isinstance(first, Head)
        assert isinstance(second, Head)
        assert first.headers != second.headers
