"""The two places where a form says how it is to be read: its Content-Type, and the head of each part.

Every parser of forms reads the usual spelling alike, and each reads the unusual in its own way: one unfolds
a header, one takes the last of two names, one splits at a semicolon inside quotes. What could be read in
two ways is refused here, because the upstream's reading is the one that is billed.
"""

import re
from collections.abc import Set
from dataclasses import dataclass

from gateway.errors import InvalidRequest

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110 section 5.6.2
# No backslash before a quote: half of all parsers end the string there, half do not.
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^"\x00-\x1f\x7f])*"'
_PARAMETER = re.compile(rf"; *({_WORD})=({_WORD}|{_QUOTED})")
_LINE = re.compile(rf"({_WORD}): *([^\x00-\x08\x0a-\x1f\x7f]*)")
# RFC 2046 section 5.1.1, without what nobody sends: a space, which some trim; an apostrophe and a question
# mark, which Python's email decodes as an encoding; a hyphen at its end, where some see that of the form.
_BOUNDARY = re.compile(r"[0-9A-Za-z()+_,\-./:=]{0,69}[0-9A-Za-z()+_,./:=]")
_UTF_8 = frozenset({"utf-8", "utf8"})
# Text that is ASCII is the same in all of these. Some clients name one by default, and some parsers obey.
_LIKE_ASCII = frozenset({"us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252"})
# What everybody sends. There are parsers that find a boundary in `x-boundary=…` or in `x="boundary=…"`.
_OF_FORMS = frozenset({"boundary", "charset"})
_OF_PARTS = frozenset({"name", "filename", "filename*"})
# Without quotes, `model*` is `model` to some.
_BARE_NAME = re.compile(r"[0-9A-Za-z_.\-]+")
_TEXT, _JSON = frozenset({"text/plain"}), frozenset({"application/json"})
_PLAIN_ENCODINGS = frozenset({"7bit", "8bit", "binary"})
# Escapes (`%22`, `&quot;`, `=?utf-8?…?=`), separators and quotes: somebody takes them for something else.
_ODD_NAME = re.compile(r"[%&=;\\\"'<>]")
_STEP = re.compile(r"[\[.]")  # what is a part of what
_SEPARATORS = re.compile(r"[ \-]")  # PHP makes underscores of them, and of dots
_LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class PartHead:
    """What a part is called. `file`: it has a file name. `ascii`: what is read of it must be ASCII."""

    name: str
    file: bool
    ascii: bool = False


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a form; None for what is no form at all.

    Raises InvalidRequest (`invalid_multipart`) for a boundary that could be read in two ways (RFC 2046
    section 5.1.1), for other multiparts, and for forms that are no multipart: some upstreams read those too.
    """
    kind, _, _ = content_type.partition(";")
    if kind.lower() != "multipart/form-data":
        if "multipart" in content_type.lower() or "urlencoded" in content_type.lower():
            raise invalid("A form has to be multipart/form-data.")
        return None
    parameters = _parameters(content_type[len(kind) :], "boundary", _OF_FORMS)
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise invalid("The Content-Type has no boundary that could be used.")
    if parameters.get("charset", "utf-8").lower() not in _UTF_8:
        raise invalid("The form's fields have to be UTF-8.")
    return boundary.encode()


def part_head(head: bytes, wanted: Set[str], texts: Set[str] = frozenset()) -> PartHead:
    """What the header lines of a part say (RFC 7578 section 4.2), without the empty line after them.

    Raises InvalidRequest (`invalid_multipart`) where its name could be read in two ways, and for a field of
    `wanted` that is anything but plain text; one of `texts` may be called JSON.
    """
    headers = _headers(head)
    disposition = headers.get("content-disposition", "")
    kind, _, _ = disposition.partition(";")
    if kind.lower() != "form-data":
        raise invalid("Each part of a form needs a Content-Disposition of form-data.")
    parameters = _parameters(disposition[len(kind) :], "name", _OF_PARTS)
    # First, as everybody writes it: a search for `name="` finds `filename="` as well.
    if next(iter(parameters), None) != "name":
        raise invalid("The name of a part has to come first.")
    file = any(parameter.startswith("filename") for parameter in parameters)
    name = _checked_name(parameters["name"], file, wanted)
    charset = _charset(headers, _TEXT | _JSON if name in texts else _TEXT)
    if name in wanted and (file or charset is None):
        raise invalid(f"The field '{name}' has to be plain text.", name)
    return PartHead(name, file, charset in _LIKE_ASCII)


def invalid(complaint: str, param: str | None = None) -> InvalidRequest:
    return InvalidRequest(complaint, code="invalid_multipart", param=param)


def _headers(head: bytes) -> dict[str, str]:
    """By names in lower case. No folded lines, no bare CR or LF, no space before a colon, nothing twice."""
    headers: dict[str, str] = {}
    # A file's name may be in any encoding; a part's name that is not UTF-8 is not printable afterwards.
    for line in head.decode(errors="surrogateescape").split("\r\n"):
        match = _LINE.fullmatch(line)
        if match is None or match[1].lower() in headers:
            raise invalid("The head of a part is malformed.")
        headers[match[1].lower()] = match[2]
    return headers


def _parameters(text: str, vital: str, known: Set[str]) -> dict[str, str]:
    """`; name=value` in order. `vital` has to be named once, however carelessly somebody looks for it."""
    parameters: dict[str, str] = {}
    end = 0
    while match := _PARAMETER.match(text, end):
        name, value = match[1].lower(), match[2]
        if name in parameters or name not in known:
            raise invalid("A parameter in the head of a form is unknown, or occurs twice.")
        if name == "name" and not value.startswith('"') and not _BARE_NAME.fullmatch(value):
            raise invalid("A part's name needs quotes.")
        parameters[name] = value[1:-1] if value.startswith('"') else value
        end = match.end()
    careless = re.findall(rf";[\s\"']*{vital}[\s*0-9]*=", text, re.IGNORECASE)
    if end != len(text) or len(careless) != 1 or vital not in parameters:
        raise invalid(f"The head of a form has to give its {vital} once, and plainly.")
    return parameters


def _checked_name(name: str, file: bool, wanted: Set[str]) -> str:
    odd = _ODD_NAME.search(name) or not name.isprintable() or len(name) > _LONGEST_NAME
    # RFC 7578 section 4.6: `_charset_` says how to decode all the others.
    if odd or not name.strip() or name.casefold() == "_charset_":
        raise invalid("A part's name is missing, or could be read in two ways.")
    if name not in wanted and any(_imitates(name, file, field) for field in wanted):
        raise invalid("A part's name is almost that of a field that matters: write it as the API does.")
    return name


def _imitates(name: str, file: bool, field: str) -> bool:
    """Whether a generous upstream may take the one for the other, or for what it is a part of.

    `Model`, ` model` and `model[]` may all be `model`; and text in `video` may be JSON with an `id`, which
    a file is not.
    """
    given, meant = _steps(name), _steps(field)
    whole = given == meant[: len(given)] and not file
    return whole or given[: len(meant)] == meant or "_".join(given) == "_".join(meant)


def _steps(name: str) -> list[str]:
    steps = _STEP.split(name.strip().casefold().replace("]", ""))
    return [_SEPARATORS.sub("_", step.strip()) for step in steps if step]


def _charset(headers: dict[str, str], kinds: Set[str]) -> str | None:
    """The charset of a part that is text of one of these kinds; None for all others."""
    kind, _, rest = headers.get("content-type", "text/plain").partition(";")
    charset = rest.strip().lower().removeprefix("charset=").strip('"') if rest.strip() else "utf-8"
    encoding = headers.get("content-transfer-encoding", "binary").lower()
    plain = kind.strip().lower() in kinds and encoding in _PLAIN_ENCODINGS
    return charset if plain and charset in _UTF_8 | _LIKE_ASCII else None
