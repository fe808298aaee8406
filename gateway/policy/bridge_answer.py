"""A chat's answer as a completion's: `CreateCompletionResponse` of OpenAI's description of its API.

Whole answers and the chunks of a stream have the same shape there, unlike a chat's.
"""

from collections import defaultdict
from typing import Annotated, Any, Final

import msgspec

from gateway.policy.jsonbytes import parse


class _Token(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[Annotated[int, msgspec.Meta(ge=0, le=255)]] | None = None
    top_logprobs: list["_Token"] = []


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None
    refusal: list[_Token] | None = None


class _Said(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class Choice(msgspec.Struct):
    index: int = 0
    message: _Said | None = None
    delta: _Said | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        """What was said. A refusal is said, too."""
        said = self.message or self.delta or _Said()
        return said.content or said.refusal or ""


_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CHOICES: Final = msgspec.json.Decoder(list[Choice])


def read(document: bytes) -> tuple[dict[str, msgspec.Raw], list[Choice]] | None:
    """A chat's answer, or a chunk of it: its members, and its choices apart. None: it is neither."""
    members = parse(_OBJECT, document)
    choices = parse(_CHOICES, members["choices"]) if members and "choices" in members else None
    return None if members is None or choices is None else (members, choices)


class Answer:
    """One answer to a bridged completion, whole or chunk by chunk.

    `offset` is the prompt's length in characters: `text_offset` counts from its beginning.
    """

    def __init__(self, offset: int = 0) -> None:
        self._ends: defaultdict[int, int] = defaultdict(lambda: offset)  # of each choice's text, so far

    def completion(self, document: bytes) -> bytes | None:
        """The document as a completion. All but its choices and its kind stays as it is.

        None: it is no answer of a chat, as an error is not.
        """
        answer = read(document)
        if answer is None:
            return None
        members, choices = answer
        turned = [self._choice(choice) for choice in choices]
        return msgspec.json.encode({**members, "object": "text_completion", "choices": turned})

    def _choice(self, choice: Choice) -> dict[str, Any]:
        text = choice.text
        start = self._ends[choice.index]
        self._ends[choice.index] = start + len(text)
        return {
            "text": text,
            "index": choice.index,
            "logprobs": _logprobs(choice.logprobs, start),
            "finish_reason": choice.finish_reason,
        }


def from_chat(body: bytes, offset: int = 0) -> bytes:
    """The body of a chat completion as that of a completion; what is none, as an error, stays as it is.

    `offset` as for Answer.
    """
    return Answer(offset).completion(body) or body


def _logprobs(logprobs: _Logprobs | None, start: int) -> dict[str, Any] | None:
    tokens = (logprobs.content or logprobs.refusal) if logprobs is not None else None
    if not tokens:
        return None
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        # The chosen token is always among them, even if it is none of the likeliest.
        "top_logprobs": [
            {**{each.token: each.logprob for each in token.top_logprobs}, token.token: token.logprob}
            for token in tokens
        ],
        "text_offset": _offsets(tokens, start),
    }


def _offsets(tokens: list[_Token], start: int) -> list[int]:
    """In which character each token begins. A character may take several tokens, so bytes are counted."""
    offsets: list[int] = []
    at = start
    for token in tokens:
        encoded = token.token.encode(errors="replace") if token.bytes is None else bytes(token.bytes)
        inside = at > start and _continues(encoded[0]) if encoded else False
        offsets.append(at - inside)
        at += sum(not _continues(byte) for byte in encoded)
    return offsets


def _continues(byte: int) -> bool:
    return byte & 0b1100_0000 == 0b1000_0000  # RFC 3629
