"""What a model will read of a request, so that its tokens can be counted before it is asked."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.policy.document import plain
from gateway.policy.endpoints import Endpoint
from gateway.policy.outputs import EDITED_IMAGE

# Upper estimates, because the real number depends on sizes that only the provider sees.
IMAGE_TOKENS = 4_096  # 8 tiles of 170 and a base of 85 make 1,445; the small models multiply their patches
AUDIO_TOKENS = 8_192  # 10 tokens a second: a quarter of an hour
FILE_TOKENS = 16_384  # a document of some ten pages, each read as text and as an image

_PER_MESSAGE = 4  # <|start|>, role, separator, <|end|>
_PRIMING = 3  # <|start|>assistant<|message|>
_PER_TOOLS = 16  # the frame round the list
_BASE64_PER_TOKEN = 5  # sealed reasoning: four letters to a token, and a third more in base64

_MEDIA = {
    "image_url": IMAGE_TOKENS,
    "input_image": IMAGE_TOKENS,
    "image_file": IMAGE_TOKENS,
    "computer_screenshot": IMAGE_TOKENS,
    "image_generation_call": IMAGE_TOKENS,
    "input_audio": AUDIO_TOKENS,
    "audio": AUDIO_TOKENS,
    "file": FILE_TOKENS,
    "input_file": FILE_TOKENS,
}
_SAID_BY_OVERHEAD = frozenset({"role", "type", "id", "status"})
_DATA_URL = re.compile(r"data:[^,\s]{1,128};base64,")  # RFC 2397
_BINARY = frozenset({"data", "file_data", "image_data", "b64_json"})


@dataclass(frozen=True, slots=True)
class Prompt:
    """Texts to be counted, and the tokens that come on top of them."""

    texts: tuple[str, ...] = field(repr=False)
    tokens: int


class _Asked(msgspec.Struct):
    """The fields of all operations that end up in front of a model."""

    messages: Any = None
    prompt: Any = None
    input: Any = None
    instructions: Any = None
    suffix: Any = None
    prediction: Any = None
    tools: Any = None
    functions: Any = None
    response_format: Any = None
    text: Any = None
    images: Any = None
    mask: Any = None


_DECODER = msgspec.json.Decoder(_Asked)

# What may count by constants, of which few bytes make many tokens.
_HEAVY = re.compile(rb'"(?:data:|(?:%b)")' % b"|".join(name.encode() for name in sorted({*_MEDIA, *_BINARY})))
_FRAMES = 2 * (_PRIMING + _PER_MESSAGE) + 4 * _PER_TOOLS  # of all the fields that have one, once each


def most_tokens(body: bytes) -> int | None:
    """Tokens that are never fewer than those of `read_prompt`, its texts included, and found much faster.

    No text has more tokens than bytes; twice that, because of numbers that read longer than they are written.
    None where pictures, recordings or files may be in it, or the body is not plainly written.
    """
    asked = plain(body)
    if asked is None or "images" in asked or "mask" in asked or _HEAVY.search(body) is not None:
        return None
    listed = [value for name in ("messages", "input") if type(value := asked.get(name)) is list]
    return 2 * len(body) + _PER_MESSAGE * sum(map(len, listed)) + _FRAMES


def read_prompt(endpoint: Endpoint, body: bytes) -> Prompt:
    """What the model reads: an estimate that is rarely below the real one. Never raises.

    Token arrays count exactly; images, audio and files count by constants and never become text. A shape that
    is not known counts as its JSON.
    """
    reading = _Reading()
    try:
        asked = _asked(body)
        reading.conversation(asked.get("messages"))
        is_conversation = endpoint.name.startswith("responses")
        reading.conversation(asked.get("input")) if is_conversation else reading.content(asked.get("input"))
        for name in ("prompt", "instructions", "suffix", "prediction"):
            reading.content(asked.get(name))
        for name in ("tools", "functions", "response_format", "text"):
            reading.schema(asked.get(name))
        reading.pictures(asked.get("images"), asked.get("mask"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Prompt((), len(body) // 2)
    return Prompt(tuple(reading.texts), reading.tokens)


def _asked(body: bytes) -> Mapping[str, Any]:
    asked = plain(body)
    return msgspec.structs.asdict(_DECODER.decode(body)) if asked is None else asked


class _Reading:
    """Texts and tokens, as they add up."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.tokens = 0

    def conversation(self, messages: Any) -> None:
        """Messages or input items, or the plain text of one."""
        if messages is None:
            return
        self.tokens += _PRIMING
        for message in messages if isinstance(messages, list) else [messages]:
            self.tokens += _PER_MESSAGE
            self.content(message)

    def content(self, content: Any) -> None:
        """A text, a token array, a part, or a list of them."""
        if isinstance(content, str):
            self._text(content)
        elif isinstance(content, list):
            self._list(content)
        elif isinstance(content, dict):
            self._part(content)
        elif content is not None:
            self.texts.append(str(content))

    def pictures(self, images: Any, mask: Any) -> None:
        """What is to be edited, named by URLs or files."""
        count = len(images) if isinstance(images, list) else images is not None
        self.tokens += EDITED_IMAGE * (count + (mask is not None))

    def schema(self, schema: Any) -> None:
        """Tools and formats: the model reads something like their JSON."""
        if schema is not None:
            self.tokens += _PER_TOOLS
            self.texts.append(msgspec.json.encode(self._without_media(schema)).decode())

    def _text(self, text: str) -> None:
        if _DATA_URL.match(text):
            self.tokens += _media_tokens(text)
        else:
            self.texts.append(text)

    def _list(self, items: list[Any]) -> None:
        if items and type(items[0]) is int:
            numbers = [item for item in items if type(item) is int]
            self.tokens += len(numbers)
            if len(numbers) == len(items):
                return
            items = [item for item in items if type(item) is not int]
        for item in items:
            self.content(item)

    def _part(self, part: dict[str, Any]) -> None:
        """A message, a content part, an item: what is not known of it counts as JSON."""
        media = _MEDIA.get(part["type"]) if isinstance(part.get("type"), str) else None
        if media is not None:
            self.tokens += media
            return
        for name, value in part.items():
            if name in ("content", "text", "output", "arguments", "summary", "refusal", "name"):
                self.content(value)
                self.tokens += name == "name"
            elif name == "encrypted_content" and isinstance(value, str):
                self.tokens += len(value) // _BASE64_PER_TOKEN
            elif name not in _SAID_BY_OVERHEAD and value is not None:
                self.texts.append(name)
                self.texts.append(msgspec.json.encode(self._without_media(value)).decode())

    def _without_media(self, value: Any) -> Any:
        """The value with its media counted and taken out."""
        if isinstance(value, str):
            if not _DATA_URL.match(value):
                return value
            self.tokens += _media_tokens(value)
            return ""
        if isinstance(value, list):
            return [self._without_media(item) for item in value]
        if isinstance(value, dict):
            return dict(self._members(value))
        return value

    def _members(self, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, item in value.items():
            if name in _BINARY and isinstance(item, str):
                self.tokens += FILE_TOKENS
            else:
                yield name, self._without_media(item)


def _media_tokens(url: str) -> int:
    """By the type that a `data:` URL names."""
    if url.startswith("data:image/"):
        return IMAGE_TOKENS
    return AUDIO_TOKENS if url.startswith("data:audio/") else FILE_TOKENS
