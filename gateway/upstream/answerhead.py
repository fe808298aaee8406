"""What the head of an answer must be, beyond what aiohttp's parser checks: it is lenient with servers."""

import re

from aiohttp import hdrs
from aiohttp.http import HttpVersion10, HttpVersion11, RawResponseMessage

_NAMES = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+\n)*")  # RFC 9110 section 5.1, one to a line
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# A length of 2^64 - 1 is the parser's word for none, and the body would then end with its connection.
_MAX_LENGTH_DIGITS = 18


def is_sound(message: RawResponseMessage) -> bool:
    """Can no two readers differ about where the answer ends (RFC 9112 section 6.3), and is it HTTP/1?"""
    headers = message.headers
    if message.version not in (HttpVersion11, HttpVersion10) or _CONTROL.search(message.reason):
        return False
    if not _NAMES.fullmatch(b"".join(name + b"\n" for name, _ in message.raw_headers)):
        return False
    lengths = headers.getall(hdrs.CONTENT_LENGTH, [])
    codings = headers.getall(hdrs.TRANSFER_ENCODING, [])
    if not codings:
        return len(lengths) <= 1 and all(_is_length(length) for length in lengths)
    chunked = [coding.strip().lower() for coding in codings] == ["chunked"]
    return chunked and not lengths and message.version == HttpVersion11


def _is_length(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_LENGTH_DIGITS
