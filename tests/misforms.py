"""Forms that two parsers could read in two ways, or that are none; and what each is owed.

Each has a model that the gateway would read, and most have a dearer one that somebody else would.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

BOUNDARY = "frontier"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
MARK = b"--frontier"
END = MARK + b"--\r\n"
DISPOSITION = b"Content-Disposition: form-data; "
NAMED = DISPOSITION + b'name="%b"'

Owed = tuple[int, str]
MULTIPART = (400, "invalid_multipart")
TWICE = (400, "duplicate_key")
PACKED = (400, "unsupported_content_encoding")


def headed(head: bytes, value: bytes) -> bytes:
    return MARK + b"\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    return headed(NAMED % name + more, value)


MODEL = part(b"model", b"cheap")
DEAR = part(b"model", b"dear")
HIDDEN = DEAR[len(MARK) + 2 :]  # without its delimiter
FILE = part(b"file", b"RIFF" + bytes(range(256)), b'; filename="a b.wav"\r\nContent-Type: audio/wav')
GOOD = FILE + MODEL + part(b"prompt", b"a cat,\r\nand a dog") + END


@dataclass(frozen=True, slots=True)
class Form:
    """`fields` are more of the request's header lines."""

    name: str
    body: bytes = field(repr=False)
    content_type: str = FORM
    owed: Owed = MULTIPART
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def boundaries() -> Iterator[Form]:
    for parameters in (
        *("", "; boundary=", '; boundary=""', "; boundary", f"; boundary={BOUNDARY}; boundary=x"),
        *(
            f"; boundary={BOUNDARY}; Boundary=x",
            f"; boundary*=utf-8''{BOUNDARY}",
            "; boundary*0=fron; boundary*1=tier",
        ),
        *(f"; xboundary=q; boundary={BOUNDARY}", f'; x="boundary=q"; boundary={BOUNDARY}'),
        *(f'; x=";boundary=q"; boundary={BOUNDARY}', f"; boundary={BOUNDARY};", f" ; boundary={BOUNDARY}"),
        *(
            f"; boundary= {BOUNDARY}",
            f"; boundary ={BOUNDARY}",
            f";\tboundary={BOUNDARY}",
            f'; boundary="{BOUNDARY} "',
        ),
        *(
            f'; boundary="{BOUNDARY}',
            '; boundary="fron\\tier"',
            f"; boundary={BOUNDARY}, text/plain",
            f" boundary={BOUNDARY}",
        ),
        *(
            f"; boundary={BOUNDARY}; charset=utf-7",
            f"; boundary={BOUNDARY}; charset=utf-16",
            f"; boundary={BOUNDARY}; x=y",
        ),
        *("; boundary=" + "x" * 71, "; boundary=Frontier", "; boundary=front", "; boundary=fronti\xe9r"),
    ):
        yield Form(f"parameters {parameters!r}", MODEL + END, "multipart/form-data" + parameters)
    for kind in ("multipart/mixed", "multipart/related", "application/x-www-form-urlencoded", "multipart/x"):
        yield Form(kind, MODEL + END, f"{kind}; boundary={BOUNDARY}")
    yield Form("urlencoded", b"model=dear", "application/x-www-form-urlencoded")
    for mark in (b"-", b"---", b"a--"):
        form = (MODEL + END).replace(MARK, b"--" + mark)
        yield Form(f"the boundary {mark.decode()}", form, f"multipart/form-data; boundary={mark.decode()}")


def delimiters() -> Iterator[Form]:
    for name, body in {
        "nothing but words": b"model=dear",
        "a preamble": b"preamble\r\n" + MODEL + END,
        "a preamble with another form": b"--q\r\n" + HIDDEN + b"--q--\r\n" + MODEL + END,
        "two empty lines before": b"\r\n\r\n" + MODEL + END,
        "an epilogue": MODEL + END + b"epilogue",
        "an epilogue with a part": MODEL + END + MARK + b"\r\n" + HIDDEN,
        "two forms": MODEL + END + DEAR + END,
        "no end": MODEL,
        "half an end": MODEL + MARK + b"-",
        "an end that goes on": MODEL + MARK + b"--x",
        "an end in the middle": FILE + MARK + b"--\r\n" + MODEL + END,
        "LF only": (MODEL + END).replace(b"\r\n", b"\n"),
        "CR only": (MODEL + END).replace(b"\r\n", b"\r"),
        "LF before a boundary": part(b"x", b"1\n" + MARK + b"\r\n" + HIDDEN[:-2]) + MODEL + END,
        "CR before a boundary": part(b"x", b"1\r" + MARK + b"\r\n" + HIDDEN[:-2]) + MODEL + END,
        "LF after a boundary": MARK + b"\n" + HIDDEN + END,
        "CR after a boundary": MARK + b"\r" + HIDDEN + END,
        "LF after a head": MARK + b"\r\n" + NAMED % b"model" + b"\n\ndear\r\n" + END,
        "a boundary in a line": part(b"x", b"1" + MARK + b"\r\n" + HIDDEN[:-2]) + MODEL + END,
        "a boundary in a file's name": part(b"x", b"1", b'; filename="--frontier"') + MODEL + END,
        "a boundary right behind a head": headed(NAMED % b"x", MARK + b"\r\n" + HIDDEN[:-2]) + MODEL + END,
        "a boundary with a space": MODEL.replace(MARK, MARK + b" ") + END,
        "a boundary with a tab": MODEL + MARK + b"\t\r\n" + HIDDEN + END,
        "a longer boundary": MODEL + MARK + b"x\r\n" + HIDDEN + END,
        "a boundary with three hyphens": b"-" + MODEL + END,
        "a boundary in capitals": (MODEL + END).replace(b"frontier", b"FRONTIER"),
        "zeros": bytes(1000),
    }.items():
        yield Form(name, body)


def heads() -> Iterator[Form]:
    for head in (
        *(
            b"",
            b"X: y",
            DISPOSITION.rstrip(b"; "),
            DISPOSITION + b'filename="model"',
            b'Content-Disposition: attachment; name="model"',
        ),
        *(
            NAMED % b"model" + b'; name="x"',
            NAMED % b"x" + b'; NAME="model"',
            NAMED % b"x" + b"; name*=utf-8''model",
        ),
        *(
            DISPOSITION + b"name*=utf-8''model",
            DISPOSITION + b"name*0=mo; name*1=del",
            NAMED % b"x" + b"; x=y",
        ),
        *(
            NAMED % b"x" + b"\r\n" + NAMED % b"model",
            NAMED % b"x" + b';\r\n name="model"',
            NAMED % b"x" + b"\n" + NAMED % b"model",
        ),
        *(
            NAMED % b"x" + b"\r" + NAMED % b"model",
            b" " + NAMED % b"model",
            (NAMED % b"model").replace(b":", b" :"),
        ),
        *(NAMED % b"x" + b'; filename="a; name=model"', NAMED % b"x" + b'; filename="a\\"; name=\\"model"'),
        *(DISPOSITION + b'filename="a"; name="model"', NAMED % b"model" + b"; ", NAMED % b"model" + b" "),
        *(
            DISPOSITION + b"name=model*",
            DISPOSITION + b"name='model'",
            DISPOSITION + b'name="model',
            DISPOSITION + b"name=",
        ),
        *(NAMED % b"x\0" + b"", NAMED % b"\xff", NAMED % b"x" + b"\r\nno colon"),
    ):
        yield Form(
            f"the head {head[31:].decode('latin-1')!r}",
            MODEL.replace(b"cheap", b"whisper-1") + headed(head, b"dear") + END,
        )
    for name in (
        *(
            b"Model",
            b"MODEL",
            b" model",
            b"model ",
            b"model[]",
            b"model[0]",
            b"model.x",
            b"[model]",
            b"model[",
            b"%6dodel",
        ),
        *(
            b"model%22",
            b"model\\",
            b"&#109;odel",
            b"=?utf-8?q?model?=",
            b"",
            b" ",
            b"_charset_",
            b"mo\xe2\x80\x8bdel",
            b"model\x7f",
        ),
        b"x" * 300,
    ):
        yield Form(f"the name {name.decode(errors='replace')[:20]!r}", MODEL + part(name, b"dear") + END)
    yield Form("a head of 20 kB", headed(b"X: " + b"y" * 20_000 + b"\r\n" + NAMED % b"model", b"cheap") + END)
    yield Form("a head without end", MARK + b"\r\n" + b"X: y\r\n" * 20_000)
    yield Form("a head of 2,000 fields", headed(b"X: y\r\n" * 2000 + NAMED % b"model", b"cheap") + END)
    yield Form("a name of 1 MB", part(b"x" * 2**20, b"") + MODEL + END)


def values() -> Iterator[Form]:
    yield Form("the model twice", MODEL + DEAR + END, owed=TWICE)
    yield Form("the same model twice", MODEL + MODEL + END, owed=TWICE)
    yield Form("the model behind a file, twice", MODEL + FILE + DEAR + END, owed=TWICE)
    yield Form("the prompt twice", MODEL + part(b"prompt", b"1") * 2 + END, owed=TWICE)
    for more in (
        *(
            b'; filename="a"',
            b'; filename=""',
            b"; filename*=utf-8''a",
            b"\r\nContent-Type: application/json",
        ),
        *(b"\r\nContent-Type: text/plain; charset=utf-7", b"\r\nContent-Type: text/plain; charset=utf-16"),
        *(b"\r\nContent-Transfer-Encoding: base64", b"\r\nContent-Transfer-Encoding: quoted-printable"),
        *(b"\r\nContent-Type: multipart/mixed; boundary=q", b"\r\nContent-Type: message/rfc822"),
    ):
        yield Form(f"a model with {more.decode().strip()!r}", part(b"model", b"cheap", more) + END)
    latin = b"\r\nContent-Type: text/plain; charset=ISO-8859-1"
    yield Form("a model past ASCII in Latin-1", part(b"model", "modèle".encode(), latin) + END)
    for value in (
        *(
            b" cheap",
            b"cheap ",
            b"cheap\r",
            b"cheap\r\n",
            b"\r\ncheap",
            b"cheap\ndear",
            b"cheap\0",
            b"\xff",
            b"\xc0\xaf",
            b"\xed\xa0\x80",
        ),
        *("\ufeffcheap".encode(), "\u200bcheap".encode(), b"m" * 1025, b"m" * 1_000_000),
    ):
        yield Form(f"the model {value.decode(errors='replace')[:12]!r}", part(b"model", value) + END)
    inner = b"--q\r\n" + HIDDEN + b"--q--"
    mixed = b"\r\nContent-Type: multipart/mixed; boundary=frontier"
    yield Form("a form in a form, of one boundary", part(b"x", DEAR + END, mixed) + MODEL + END)
    yield Form(
        "a form as a model", part(b"model", inner, b"\r\nContent-Type: multipart/mixed; boundary=q") + END
    )
    yield Form("100,000 parts", part(b"x", b"") * 100_000 + MODEL + END)
    yield Form("100,000 parts, behind the model", MODEL + part(b"x", b"") * 100_000 + END)
    for coding in ("gzip", "br", "x-gzip", "identity, gzip"):
        yield Form(f"in {coding}", MODEL + END, owed=PACKED, fields=(f"Content-Encoding: {coding}",))


CASES = [*boundaries(), *delimiters(), *heads(), *values()]

NESTED = b"--q\r\n" + HIDDEN + b"--q--"
PLAIN = {
    "as everybody makes them": GOOD,
    "an empty line before": b"\r\n" + GOOD,
    "an empty line behind": GOOD + b"\r\n",
    "without its last line end": GOOD[:-2],
    "another form in a part": part(b"x", NESTED, b"\r\nContent-Type: multipart/mixed; boundary=q")
    + MODEL
    + END,
    "another form in a file": part(b"file", NESTED, b'; filename="a"') + MODEL + END,
    "almost the boundary, again and again": part(b"file", b"\r\n--frontie" * 1000, b'; filename="a"')
    + MODEL
    + END,
    "names in any letters": (MODEL + END).replace(DISPOSITION, b"CONTENT-DISPOSITION:form-data; "),
    "a name without quotes": (MODEL + END).replace(b'"', b""),
    "a charset": part(b"model", b"whisper-1", b"\r\nContent-Type: text/plain; charset=ISO-8859-1") + END,
    "many small fields": b"".join(part(b"x[%d]" % number, b"1") for number in range(900)) + MODEL + END,
}
