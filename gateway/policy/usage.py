"""What an answer used, what its text was where the upstream does not say, and whether it is whole."""

from typing import Any, Final

import msgspec

from gateway.policy import sse
from gateway.policy.counts import NAMES, read_usage, texts, tier_of
from gateway.policy.frames import MOST, Frame, frame_of
from gateway.policy.jsonbytes import parse
from gateway.policy.records import Usage
from gateway.policy.tools import Calls, calls_of

TEXT_KEPT: Final = 2**20  # bytes; a longer answer's estimate is scaled up from these

DONE: Final = b"[DONE]"
_CHUNKED: Final = frozenset({"chat.completions", "completions"})
_ENDS: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
)
_MEMBERS: Final = (b"content", b"refusal", b"reasoning_content", b"reasoning")
_TRIES: Final = 8  # events that are looked at for a frame


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None
    function_call: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    text: Any = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None

    @property
    def only_usage(self) -> bool:
        return self.choices == [] and isinstance(self.usage, dict)


class _Reason(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    usage: Any = None
    service_tier: Any = None
    output: msgspec.Raw = msgspec.Raw()
    incomplete_details: _Reason | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: Any = None
    response: msgspec.Raw = msgspec.Raw()
    item: msgspec.Raw = msgspec.Raw()
    error: Any = None


class _Answer(msgspec.Struct):
    usage: Any = None
    service_tier: Any = None
    output: msgspec.Raw = msgspec.Raw()

    def calls(self, endpoint: str) -> dict[str, int]:
        return calls_of(self.output) if endpoint == "responses" else {}


class _PlainChoice(msgspec.Struct):
    message: Any = None
    text: Any = None


class _Output(msgspec.Struct):
    choices: list[_PlainChoice] = []
    output: Any = None


_ANSWER = msgspec.json.Decoder(_Answer)
_OUTPUT = msgspec.json.Decoder(_Output)
_CHUNK = msgspec.json.Decoder(_Chunk)
_EVENT = msgspec.json.Decoder(_Event)
_RESPONSE = msgspec.json.Decoder(_Response)


def usage_of(endpoint: str, body: bytes) -> Usage | None:
    """The usage that a plain JSON answer states; None when it states none that can be believed."""
    answer = parse(_ANSWER, body)
    if answer is None:
        return None
    return read_usage(endpoint, answer.usage, tier_of(answer.service_tier), answer.calls(endpoint))


def estimate_of(endpoint: str, body: bytes, input: int, output: int) -> Usage:
    """The usage of a plain answer that states none: these tokens, and what the answer says beside them."""
    answer = parse(_ANSWER, body) or _Answer()
    return Usage(input, output, estimated=True, tier=tier_of(answer.service_tier), **answer.calls(endpoint))


def output_texts(endpoint: str, body: bytes) -> list[str]:
    """All that the model wrote in a plain answer: text, refusals, reasoning, tool calls. To estimate by."""
    output = parse(_OUTPUT, body)
    if output is None or endpoint not in NAMES:
        return []
    written = [output.output, *([choice.message, choice.text] for choice in output.choices)]
    return list(texts(written))


class Meter:
    """Stands beside one stream. Everything it has to say is true so far, at any moment."""

    __slots__ = (
        *("_calls", "_endpoint", "_frames", "_hide_usage", "_text", "_tries"),
        *("end", "events", "failed", "filtered", "reasons", "text_bytes", "tier", "unread", "usage"),
    )

    def __init__(self, endpoint: str, hide_usage: bool) -> None:
        self._endpoint = endpoint
        self._hide_usage = hide_usage
        self._text = bytearray()  # in UTF-8: a quarter of what a str with one rare character takes
        self._calls: Calls | None = None
        self._frames: list[Frame] = []
        self._tries = 0
        self.usage: Usage | None = None  # the last one that can be believed
        self.tier = ""  # the service tier, as far as it was said
        self.end = ""  # what ended it properly: `[DONE]`, or the type of a response's last event
        self.reasons: dict[int, str | None] = {}  # finish reasons by choice; None: still going on
        self.failed = False  # an error came as an event
        self.filtered = False  # a content filter stopped it
        self.unread = False  # an event could not be read: too big, or not the JSON of this API
        self.text_bytes = 0  # of all output text, in UTF-8; `texts` keeps the first TEXT_KEPT of them
        self.events = 0

    @property
    def ended(self) -> bool:
        """The upstream said that this was all."""
        return bool(self.end)

    @property
    def finished(self) -> bool:
        """Every choice is complete, whether or not the upstream said that this was all."""
        if self._endpoint in _CHUNKED:
            return bool(self.reasons) and None not in self.reasons.values()
        return self.end in ("response.completed", "response.incomplete")

    def estimate(self, input: int, output: int) -> Usage:
        """The usage so far where the upstream states none: these tokens, and the calls that were seen."""
        return Usage(input, output, estimated=True, tier=self.tier, **self._counts())

    @property
    def texts(self) -> list[str]:
        """The output text so far: content, refusals, reasoning and tool calls, in the order of arrival."""
        return [self._text.decode(errors="surrogatepass")] if self._text else []

    def _counts(self) -> dict[str, int]:
        return {} if self._calls is None else self._calls.counts()

    def event(self, raw: bytes) -> bytes | None:
        """Read one raw event; what to hand on to the client: `raw` itself, or None.

        None is for the chunk that only carries usage, when the gateway asked for it and the client did not.
        """
        self.events += 1
        if isinstance(raw, sse.Piece):
            self.unread = True
            return raw
        for frame in self._frames:
            if (text := frame.text_of(raw)) is not None:
                self._keep(text, len(text))
                return raw
        data = sse.data(raw)
        if data == DONE:
            if self._endpoint != "responses":  # some servers send it there too: it says nothing new
                self.end = "[DONE]"
            return raw
        if b"error" in raw and sse.kind(raw) == b"error":
            self.failed = True
        size, tier = self.text_bytes, self.tier
        shown = not data or self.read(data)
        if self.tier != tier:
            self._frames.clear()  # the events of a frame all have one tier, and would set it back
        if self.text_bytes > size and self._tries < _TRIES and not self.failed:
            self._frame(raw, data)
        return raw if shown else None

    def _frame(self, raw: bytes, data: bytes) -> None:
        """What comes may be like this event, which has been read and had text in it."""
        self._tries += 1
        sole = _sole_text(self._endpoint, data) if len(self._frames) < MOST else None
        frame = frame_of(raw, *sole) if sole is not None else None
        if frame is not None:
            self._frames.append(frame)

    def read(self, data: bytes) -> bool:
        """Read the data of one event, or a message that is one; whether it is the client's to see."""
        if self._endpoint in _CHUNKED:
            return self._chunk(data)
        self._response_event(data)
        return True

    def _chunk(self, data: bytes) -> bool:
        """Read one chunk; whether it is the client's to see."""
        chunk = parse(_CHUNK, data)
        if chunk is None:
            self.unread = True
            return True
        self.failed = self.failed or chunk.error is not None
        if chunk.service_tier is not None:
            self.tier = tier_of(chunk.service_tier) or self.tier
        if chunk.usage is not None:
            self.usage = read_usage(self._endpoint, chunk.usage, self.tier) or self.usage
        for choice in chunk.choices or ():
            self._choice(choice)
        return not (self._hide_usage and chunk.only_usage)

    def _choice(self, choice: _Choice) -> None:
        reason = choice.finish_reason
        if reason is not None or choice.index not in self.reasons:
            self.reasons[choice.index] = reason
            self.filtered = self.filtered or reason == "content_filter"
        for written in _written(choice):
            if written:
                self._keep_words(written)

    def _response_event(self, data: bytes) -> None:
        event = parse(_EVENT, data)
        if event is None:
            self.unread = True
            return
        self.failed = self.failed or event.type in ("error", "response.failed") or event.error is not None
        if event.type in _ENDS:
            self._response_end(event)
        elif event.type.endswith(".delta") and event.type != "response.audio.delta":
            self._keep_words(event.delta)
        elif event.type.startswith("response.output_item."):
            self._calls = self._calls or Calls()
            self._calls.add(event.item)

    def _response_end(self, event: _Event) -> None:
        self.end = event.type
        response = parse(_RESPONSE, event.response)
        if response is None:
            self.unread = True
            return
        self.tier = tier_of(response.service_tier) or self.tier
        calls = calls_of(response.output) or self._counts()
        self.usage = read_usage(self._endpoint, response.usage, self.tier, calls) or self.usage
        details = response.incomplete_details
        self.filtered = self.filtered or (details is not None and details.reason == "content_filter")

    def _keep_words(self, written: Any) -> None:
        for text in (written,) if isinstance(written, str) else texts(written):
            size = len(text) if text.isascii() else len(text.encode(errors="replace"))
            self._keep(text.encode(errors="surrogatepass"), size)

    def _keep(self, text: bytes, size: int) -> None:
        room = TEXT_KEPT - self.text_bytes
        self.text_bytes += size
        if size <= room:
            self._text += text
        elif room > 0:
            kept = text.decode(errors="surrogatepass")[: room // 4]
            self._text += kept.encode(errors="surrogatepass")


def _sole_text(endpoint: str, data: bytes) -> tuple[bytes, str] | None:
    """The one text of an event that says nothing else of what is metered, and the name of its member."""
    if endpoint not in _CHUNKED:
        event = parse(_EVENT, data)
        plain = event is not None and event.type.endswith(".delta") and event.error is None
        return (b"delta", event.delta) if plain and event and isinstance(event.delta, str) else None
    chunk = parse(_CHUNK, data)
    if chunk is None or chunk.error is not None or chunk.usage is not None:
        return None
    if chunk.choices is None or len(chunk.choices) != 1:
        return None
    choice = chunk.choices[0]
    said = [pair for pair in zip(_MEMBERS, _written(choice), strict=False) if pair[1]]
    if choice.finish_reason is not None or len(said) != 1 or not isinstance(said[0][1], str):
        return None
    name = b"text" if choice.delta is None else said[0][0]
    return name, said[0][1]


def _written(choice: _Choice) -> tuple[Any, ...]:
    delta = choice.delta
    if delta is None:
        return (choice.text,)
    return (
        *(delta.content, delta.refusal, delta.reasoning_content, delta.reasoning),
        *(delta.tool_calls, delta.function_call),
    )


def is_usage_chunk(raw: bytes) -> bool:
    """Is this raw event a chunk that carries usage and nothing else?"""
    chunk = _with_usage(raw)
    return chunk is not None and chunk.choices == []


def states_usage(raw: bytes) -> bool:
    """Does this raw event carry a usage object, beside choices or without any?"""
    return _with_usage(raw) is not None


def _with_usage(raw: bytes) -> _Chunk | None:
    # Where usage was asked for, every chunk has the member: a look at the bytes saves most of the decoding.
    if raw.count(b'"usage"') == raw.count(b'"usage":null'):
        return None
    chunk = parse(_CHUNK, sse.data(raw))
    return chunk if chunk is not None and isinstance(chunk.usage, dict) else None
