"""The heads of forms: the usual spellings are read, whatever could be read in two ways is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.formheads import PartHead, boundary_of, part_head

WANTED = frozenset({"model", "file_id"})
DISPOSITION = "Content-Disposition: form-data; "


def head(*lines: str) -> PartHead:
    return part_head("\r\n".join(lines).encode(), WANTED)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ("Multipart/Form-Data;BOUNDARY=AbC", b"AbC"),
        ('multipart/form-data; boundary="a:b/c=+(d)"', b"a:b/c=+(d)"),
        ("multipart/form-data; charset=UTF-8; boundary=----WebKitFormBoundaryx", b"----WebKitFormBoundaryx"),
        ("multipart/form-data; boundary=" + "x" * 70, b"x" * 70),
        ('multipart/form-data; boundary="===============5798=="', b"===============5798=="),
    ],
)
def test_a_boundary_is_read(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize("content_type", ["", "application/json", "application/sdp", "audio/wav; x=y"])
def test_what_is_no_form_has_none(content_type: str) -> None:
    assert boundary_of(content_type) is None


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=a; Boundary=b",
        "multipart/form-data; boundary*=utf-8''a",
        "multipart/form-data; boundary*0=a; boundary*1=b",
        'multipart/form-data; x="; boundary=b"; boundary=a',
        'multipart/form-data; boundary="a"b',
        'multipart/form-data; boundary="a\\"b"',
        'multipart/form-data; boundary="a\\b"',
        'multipart/form-data; boundary="a b"',
        'multipart/form-data; boundary="a "',
        "multipart/form-data; boundary =a",
        "multipart/form-data; boundary= a",
        "multipart/form-data boundary=a",
        "multipart/form-data, text/plain; boundary=a",
        "multipart/form-data; boundary=a, multipart/form-data; boundary=b",
        "application/octet-stream, multipart/form-data; boundary=a",
        "multipart/form-data; boundary=a:b",
        "multipart/form-data; boundary=ä",
        "multipart/form-data; boundary=a; charset=utf-7",
        "multipart/form-data; boundary=a; charset=us-ascii",
        "multipart/form-data; boundary=a;",
        "multipart/form-data ; boundary=a",
        "multipart/form-data;\tboundary=a",
        "multipart/form-data; x-boundary=b; boundary=a",
        'multipart/form-data; x="boundary=b"; boundary=a',
        "multipart/form-data; name=x; boundary=a",
        "multipart/form-data; boundary=-",
        "multipart/form-data; boundary=a--",
        "multipart/form-data; boundary=a'b",
        'multipart/form-data; boundary="=?utf-8?q?x?="',
        "multipart/form-data; boundary=a; charset=utf-16",
        "multipart/mixed; boundary=a",
        "multipart/related; boundary=a",
        "application/x-www-form-urlencoded",
    ],
)
def test_a_boundary_that_somebody_reads_otherwise_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        boundary_of(content_type)
    assert caught.value.code == "invalid_multipart"


@pytest.mark.parametrize(
    ("lines", "name", "file"),
    [
        ([DISPOSITION + 'name="model"'], "model", False),
        (["content-disposition:form-data;name=model"], "model", False),
        (["CONTENT-DISPOSITION: Form-Data; NAME=model"], "model", False),
        ([DISPOSITION + 'name="model"', "Content-Type: text/plain; charset=utf-8"], "model", False),
        ([DISPOSITION + 'name="model"', "Content-Transfer-Encoding: 8bit"], "model", False),
        (["Content-Type: audio/wav", DISPOSITION + 'name="file"; filename="C:\\a\\b.wav"'], "file", True),
        ([DISPOSITION + 'name="file"; filename="a; b=c"; filename*=UTF-8\'\'%61'], "file", True),
        ([DISPOSITION + 'name="file"; filename=""'], "file", True),
        ([DISPOSITION + 'name="f"', "Content-Type: multipart/mixed; boundary=x"], "f", False),
        ([DISPOSITION + 'name="f"', "Content-Transfer-Encoding: base64", "X-Own: 1"], "f", False),
        ([DISPOSITION + 'name="metadata[the model]"'], "metadata[the model]", False),
        ([DISPOSITION + 'name="naïve"'], "naïve", False),
        ([DISPOSITION + 'name="timestamp_granularities[]"'], "timestamp_granularities[]", False),
    ],
)
def test_what_a_part_is_called(lines: list[str], name: str, file: bool) -> None:
    assert head(*lines) == PartHead(name, file)


@pytest.mark.parametrize(
    ("charset", "ascii"),
    [("utf-8", False), ('"UTF-8"', False), ("US-ASCII", True), ("ISO-8859-1", True), ("windows-1252", True)],
)
def test_what_is_in_a_charset_like_ascii_has_to_be_ascii(charset: str, ascii: bool) -> None:
    assert head(DISPOSITION + 'name="model"', f"Content-Type: text/plain; charset={charset}").ascii is ascii


def test_a_files_name_may_be_in_any_encoding() -> None:
    assert part_head(DISPOSITION.encode() + b'name="f"; filename="\xe9.wav"', WANTED).file


@pytest.mark.parametrize(
    "lines",
    [
        # whose name?
        [""],
        ["Content-Type: text/plain"],
        [DISPOSITION.rstrip("; ")],
        [DISPOSITION + 'filename="model"'],
        [DISPOSITION + 'name=""'],
        [DISPOSITION + 'name=" "'],
        [DISPOSITION + "name="],
        ['Content-Disposition: attachment; name="model"'],
        ['Content-Disposition: form-data name="model"'],
        ['Content-Disposition: ; name="model"'],
        # which of two?
        [DISPOSITION + 'name="model"; name="x"'],
        [DISPOSITION + 'name="x"; NAME="model"'],
        [DISPOSITION + "name=\"x\"; name*=utf-8''model"],
        [DISPOSITION + "name*=utf-8''model"],
        [DISPOSITION + "name*0=mo; name*1=del"],
        [DISPOSITION + 'name="x"; filename="a; name=model"'],
        [DISPOSITION + 'name="x"; filename="a;name="; b="c"'],
        [DISPOSITION + 'name="x"; filename="a\\"; name=\\"model"'],
        [DISPOSITION + 'name="x"; filename="a\\\\"; name="model"'],
        [DISPOSITION + 'filename="model"; name="x"'],
        [DISPOSITION + 'name="x"', DISPOSITION + 'name="model"'],
        # escapes
        [DISPOSITION + 'name="mo\\del"'],
        [DISPOSITION + 'name="model\\"'],
        [DISPOSITION + 'name="model%22"'],
        [DISPOSITION + 'name="%6dodel"'],
        [DISPOSITION + 'name="=?utf-8?B?bW9kZWw=?="'],
        [DISPOSITION + 'name="&#109;odel"'],
        [DISPOSITION + "name='model'"],
        [DISPOSITION + "name=\"'model'\""],
        [DISPOSITION + 'name="model'],
        [DISPOSITION + 'name=mod"el"'],
        [DISPOSITION + "name=model[]"],
        [DISPOSITION + "name=model*"],
        [DISPOSITION + "name=model'"],
        # what some take for a part of it
        [DISPOSITION + 'name="model";'],
        [DISPOSITION + 'name="model" '],
        [DISPOSITION + 'name="model" ; filename="x"'],
        [DISPOSITION.rstrip() + '\tname="model"'],
        ['Content-Disposition: form-data ; name="model"'],
        ['Content-Disposition:\tform-data; name="model"'],
        [DISPOSITION + 'name="model"; x=y'],
        [DISPOSITION + 'name="model"; filename_="x"'],
        # almost
        [DISPOSITION + 'name="Model"'],
        [DISPOSITION + 'name=" model"'],
        [DISPOSITION + 'name="model "'],
        [DISPOSITION + 'name="model[]"'],
        [DISPOSITION + 'name="model[0]"'],
        [DISPOSITION + 'name="file.id"'],
        [DISPOSITION + 'name="file-id"'],
        [DISPOSITION + 'name="_charset_"'],
        [DISPOSITION + 'name="mo\u200bdel"'],
        [DISPOSITION + 'name="' + "x" * 300 + '"'],
        # lines
        [DISPOSITION + 'name="x";', ' name="model"'],
        [DISPOSITION, '\tname="model"'],
        ["X-Own: 1", " " + DISPOSITION + 'name="model"', DISPOSITION + 'name="x"'],
        ['Content-Disposition : form-data; name="model"'],
        [' Content-Disposition: form-data; name="model"'],
        [DISPOSITION + 'name="x"\r'],
        [DISPOSITION + 'name="x"\nContent-Disposition: form-data; name="model"'],
        [DISPOSITION + 'name="x"\rContent-Disposition: form-data; name="model"'],
        [DISPOSITION + 'name="mod\0el"'],
        [DISPOSITION + 'name="x\ty"'],
        [DISPOSITION + 'name="model"', "no colon"],
        # a field that matters, and is no plain text
        [DISPOSITION + 'name="model"; filename="x"'],
        [DISPOSITION + 'name="model"; filename=""'],
        [DISPOSITION + "name=\"model\"; filename*=utf-8''x"],
        [DISPOSITION + 'name="model"', "Content-Type: application/json"],
        [DISPOSITION + 'name="model"', "Content-Type: text/plain; charset=utf-7"],
        [DISPOSITION + 'name="model"', "Content-Type: multipart/mixed; boundary=x"],
        [DISPOSITION + 'name="model"', "Content-Transfer-Encoding: base64"],
        [DISPOSITION + 'name="model"', "Content-Transfer-Encoding: quoted-printable"],
    ],
)
def test_a_name_that_somebody_reads_otherwise_is_refused(lines: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        head(*lines)
    assert caught.value.code == "invalid_multipart"


NESTED = frozenset({"video[id]", "input_reference[file_id]"})


@pytest.mark.parametrize(
    ("name", "file", "passes"),
    [
        ("video[id]", False, True),
        ("video", True, True),
        ("video[name]", False, True),
        ("input_reference[image_url]", False, True),
        ("video", False, False),
        ("Video", False, False),
        ("video[ID]", False, False),
        ("video[id][]", False, False),
        ("video.id", False, False),
        ("video_id", False, False),
    ],
)
def test_what_could_hold_a_field_of_an_object_is_refused_and_its_other_fields_pass(
    name: str, file: bool, passes: bool
) -> None:
    lines = f'{DISPOSITION}name="{name}"' + ('; filename="a.mp4"' if file else "")
    with contextlib.nullcontext() if passes else pytest.raises(InvalidRequest):
        assert part_head(lines.encode(), NESTED).name == name


@given(st.binary(max_size=80))
def test_a_name_is_what_stands_there(tail: bytes) -> None:
    for start in (b"", DISPOSITION.encode(), DISPOSITION.encode() + b'name="model"'):
        with contextlib.suppress(InvalidRequest):
            name = part_head(start + tail, WANTED).name
            assert name.isprintable()
            assert f'ame="{name}"'.encode() in start + tail or f"ame={name}".encode() in start + tail
