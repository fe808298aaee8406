"""Forms as they pass: any split reads the same, and what could hide a field is refused."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.multipart import Part, Scanner

B = b"frontier"
WANTED = frozenset({"model", "n"})


def field(name: str, value: bytes, more: str = "") -> bytes:
    return (
        f'--frontier\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
        + value
        + b"\r\n"
    )


END = b"--frontier--\r\n"
FILE = field(
    "file", bytes(range(256)) + b"\r\n--front\r\n--\r\n", '; filename="a.wav"\r\nContent-Type: audio/wav'
)
FORM = FILE + field("model", b"whisper-1") + field("prompt", b"x" * 5000) + END


def scan(*pieces: bytes, wanted: frozenset[str] = WANTED) -> list[Part]:
    scanner = Scanner(B, wanted)
    parts = [part for piece in pieces for part in scanner.feed(piece)]
    scanner.end()
    return parts


def code(*pieces: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        scan(*pieces)
    return caught.value.code


def test_parts_are_read_with_their_places() -> None:
    parts = scan(FORM)
    assert [(part.name, part.file, part.value) for part in parts] == [
        ("file", True, None),
        ("model", False, "whisper-1"),
        ("prompt", False, None),
    ]
    assert FORM[parts[1].start : parts[1].end] == b"whisper-1"
    assert FORM[parts[2].start : parts[2].end] == b"x" * 5000


def test_names_are_known_before_their_parts_end() -> None:
    scanner = Scanner(B, WANTED)
    assert scanner.feed(FILE[:-20]) == []
    assert scanner.names == ["file"]


@given(st.lists(st.integers(0, len(FORM)), max_size=12))
@example(list(range(len(FORM))))
def test_every_split_reads_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(FORM)]
    pieces = [FORM[start:end] for start, end in itertools.pairwise(edges)]
    assert scan(*pieces) == scan(FORM)


@given(st.binary(max_size=300), st.integers(1, 40))
def test_what_a_file_holds_does_not_matter(content: bytes, size: int) -> None:
    if b"--frontier" in content:
        return
    form = field("file", content, '; filename="x"') + field("model", b"m") + END
    parts = scan(*(form[start : start + size] for start in range(0, len(form), size)))
    assert form[parts[0].start : parts[0].end] == content
    assert parts[1].value == "m"


@pytest.mark.parametrize(
    "form",
    [
        END,
        b"--frontier--",
        b"\r\n" + FORM,
        FORM + b"\r\n\r\n",
        FORM[:-2],
        field("a", b"") + END,
        field("a[]", b"1") + field("a[]", b"2") + END,
        field("f", b"--x\r\nContent-Disposition: form-data; name=model\r\n\r\nevil\r\n--x--", "; filename=x")
        + END,
    ],
)
def test_plain_forms_are_read(form: bytes) -> None:
    scan(form)
    scan(*(form[at : at + 1] for at in range(len(form))))


MODEL = field("model", b"cheap")
HIDDEN = b'Content-Disposition: form-data; name="model"\r\n\r\ndear\r\n'

AMBIGUOUS = {
    "nothing": b"",
    "no boundary": b"model=dear",
    "another boundary": MODEL.replace(b"frontier", b"Frontier") + END,
    "preamble": b"preamble\r\n" + MODEL + END,
    "preamble with another boundary": b"--other\r\n" + HIDDEN + b"--other--\r\n" + MODEL + END,
    "two empty lines before": b"\r\n\r\n" + MODEL + END,
    "epilogue": MODEL + END + b"--other\r\n" + HIDDEN,
    "a part after the end": MODEL + END + b"--frontier\r\n" + HIDDEN + END,
    "no end": MODEL,
    "no end in a part": field("x", b"1") + b"--frontier\r\n" + HIDDEN,
    "half an end": MODEL + b"--frontier-",
    "padding": MODEL.replace(b"frontier", b"frontier ") + END,
    "a longer boundary": field("x", b"1") + b"--frontierx\r\n" + HIDDEN + END,
    "an end that goes on": MODEL + b"--frontier--x",
    "LF after the boundary": b"--frontier\n" + HIDDEN + END,
    "LF before the boundary": field("f", b"1\n--frontier\r\n" + HIDDEN[:-2]) + MODEL + END,
    "LF only": (MODEL + END).replace(b"\r\n", b"\n"),
    "LF only inside of a file": field("f", b"1\n--frontier\n" + HIDDEN.replace(b"\r\n", b"\n")) + MODEL + END,
    "CR before the boundary": field("f", b"1\r--frontier\r\n" + HIDDEN[:-2]) + MODEL + END,
    "in the middle of a line": field("f", b"1--frontier\r\n" + HIDDEN[:-2]) + MODEL + END,
    "in a head": b'--frontier\r\nContent-Disposition: form-data; name="f"; filename="--frontier"\r\n\r\n1\r\n'
    + END,
    "right after a head": b'--frontier\r\nContent-Disposition: form-data; name="f"\r\n\r\n--frontier\r\n'
    + HIDDEN
    + END,
    "a head without an end": b'--frontier\r\nContent-Disposition: form-data; name="f"\r\n' + END,
    "LF between head and value": b'--frontier\r\nContent-Disposition: form-data; name="model"\n\ndear\r\n'
    + END,
    "no head": b"--frontier\r\n\r\nvalue\r\n" + END,
    "an extra CR": field("model", b"cheap\r") + END,
    "space round a value": field("model", b" cheap") + END,
    "a newline in a value": field("model", b"cheap\r\n") + END,
    "not UTF-8": field("model", b"\xff") + END,
    "a long model": field("model", b"m" * 1025) + END,
    "a head without bound": b"--frontier\r\nX: " + b"x" * 9000 + b"\r\n" + HIDDEN + END,
}


@pytest.mark.parametrize("form", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_could_be_read_in_two_ways_is_refused(form: bytes) -> None:
    assert code(form) == "invalid_multipart"
    assert code(*(form[at : at + 1] for at in range(len(form)))) == "invalid_multipart"


def test_a_value_that_its_charset_would_change_is_refused() -> None:
    latin = "\r\nContent-Type: text/plain; charset=ISO-8859-1"
    assert scan(field("model", b"whisper-1", latin) + END)[0].value == "whisper-1"
    assert code(field("model", "modèle".encode(), latin) + END) == "invalid_multipart"


def test_a_wanted_field_may_occur_once() -> None:
    assert code(MODEL + FILE + field("model", b"dear") + END) == "duplicate_key"
    scan(field("other", b"1") + field("other", b"2") + END)


def test_a_long_value_matters_only_where_it_is_read() -> None:
    scanner = Scanner(B, WANTED)
    scanner.feed(field("prompt", b"x" * 1_000_000))
    with pytest.raises(InvalidRequest) as caught:
        scanner.feed(field("model", b"x" * 1_000_000))
    assert caught.value.param == "model"


def test_a_text_may_be_long_and_have_lines() -> None:
    text = b" a cat,\nand\ta dog " * 5000
    form = field("prompt", text) + MODEL + END
    for size in (1, 1000, len(form)):
        scanner = Scanner(B, frozenset({"prompt", "model"}), frozenset({"prompt"}))
        parts = [part for at in range(0, len(form), size) for part in scanner.feed(form[at : at + size])]
        assert parts[0].value == text.decode()
    scanner = Scanner(B, frozenset({"prompt"}), frozenset({"prompt"}))
    with pytest.raises(InvalidRequest):
        scanner.feed(field("prompt", b"x" * 200_000))


def test_parts_are_counted() -> None:
    assert len(scan(field("x", b"") * 1000 + END)) == 1000
    assert code(field("x", b"") * 1001 + END) == "invalid_multipart"


def test_little_is_held() -> None:
    scanner = Scanner(B, WANTED)
    scanner.feed(FILE[:-30])
    for _ in range(100):
        scanner.feed(b"\r\n--frontie" * 10_000)
        assert len(scanner._buffer) < 20


def test_its_repr_shows_no_content() -> None:
    scanner = Scanner(B, WANTED)
    scanner.feed(FORM)
    assert repr(scanner) == f"<Scanner 3 parts in {len(FORM)} bytes>"
