"""Events of the Realtime API and of the Responses API's WebSocket mode, as far as they are counted by.

Names are those of OpenAI's description of its API (`RealtimeClientEvent…`, `RealtimeServerEvent…`,
`ResponsesClientEvent`, `ResponsesServerEvent`). What is not read here is passed on all the same.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from gateway.errors import GatewayError
from gateway.policy.counts import read_usage
from gateway.policy.jsonbytes import parse
from gateway.policy.records import Usage

CREATE: Final = "response.create"
CREATED: Final = "response.created"
APPEND: Final = "input_audio_buffer.append"
UPDATES: Final = frozenset({"session.update", "transcription_session.update"})
SESSIONS: Final = frozenset(
    {"session.created", "session.updated", "transcription_session.created", "transcription_session.updated"}
)
TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
DONE: Final = frozenset(
    {
        "response.done",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.cancelled",
    }
)
# A response was asked for while another one is under way: this one never begins.
_ONE_ALREADY = "conversation_already_has_active_response"

Dialect = Literal["realtime", "responses"]


class Event(msgspec.Struct, gc=False):
    """The members of all events that anything is decided by. Big ones stay as they came."""

    type: str = ""
    event_id: Any = None
    stream_id: Any = None
    response_id: Any = None
    model: Any = None
    response: msgspec.Raw = msgspec.Raw()
    session: msgspec.Raw = msgspec.Raw()
    item: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    usage: Any = None
    delta: msgspec.Raw = msgspec.Raw()


class Response(msgspec.Struct):
    """The `response` of an event of either side. `conversation_id` absent: it belongs to the conversation."""

    id: Any = None
    model: Any = None
    status: Any = None
    usage: Any = None
    conversation_id: Any = ""
    max_output_tokens: Any = msgspec.UNSET
    max_response_output_tokens: Any = msgspec.UNSET
    output_modalities: Any = None
    modalities: Any = None


class _Error(msgspec.Struct):
    event_id: Any = None
    code: Any = None


_EVENT = msgspec.json.Decoder(Event)
_RESPONSE = msgspec.json.Decoder(Response)
_ERROR = msgspec.json.Decoder(_Error)


def event_of(data: bytes) -> Event | None:
    """A message as an event; None for what is none."""
    return parse(_EVENT, data)


def response_of(event: Event) -> Response:
    """The event's response; an empty one where there is none that can be read."""
    return parse(_RESPONSE, event.response) or Response()


def lane(event: Event) -> str:
    """The `stream_id` of an event in the Responses API's WebSocket mode."""
    return event.stream_id if isinstance(event.stream_id, str) else ""


def id_of(event: Event) -> str:
    """The response that an event of the Realtime API is about."""
    named = event.response_id if event.response_id is not None else response_of(event).id
    return named if isinstance(named, str) else ""


def fault_of(event: Event) -> tuple[str | None, bool]:
    """Of an `error`: the `event_id` of what caused it, and whether that was a second response at a time."""
    error = parse(_ERROR, event.error) or _Error()
    return error.event_id if isinstance(error.event_id, str) else None, error.code == _ONE_ALREADY


def usage_of(stated: Any) -> Usage | None:
    """The usage of a `response.done` or of a transcription. None: it says nothing, or seconds, not tokens."""
    if not isinstance(stated, dict) or "input_tokens" not in stated:
        return None
    return read_usage("responses", {"output_tokens": 0, **stated})


def told(error: GatewayError, dialect: Dialect, event_id: str, cause: Event | None = None) -> bytes:
    """The error as the event that the API itself would send. `event_id` is the new event's own."""
    said: dict[str, Any] = {
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "param": error.param,
    }
    named = cause.event_id if cause is not None and isinstance(cause.event_id, str) else None
    if dialect == "realtime":
        event: dict[str, Any] = {"type": "error", "event_id": event_id, "error": said | {"event_id": named}}
    else:
        event = {"type": "error", "status": error.status, "error": said}
        if cause is not None and lane(cause):
            event["stream_id"] = lane(cause)
    return msgspec.json.encode(event)


def cancel(response: str) -> bytes:
    """The event that ends a response of the Realtime API."""
    return msgspec.json.encode({"type": "response.cancel", "response_id": response})


def models_in(session: Any) -> Iterator[str]:
    """The models that a decoded `session` names: its own, and those that transcribe for it."""
    if isinstance(session, dict) and isinstance(session.get("model"), str):
        yield session["model"]
    yield from transcribers_in(session)


def transcribers_in(session: Any) -> Iterator[str]:
    """The models that a decoded `session` names to transcribe for it."""
    if not isinstance(session, dict):
        return
    audio = session.get("audio")
    into = audio.get("input") if isinstance(audio, dict) else None
    transcription = into.get("transcription") if isinstance(into, dict) else None
    for holder in (transcription, session.get("input_audio_transcription")):
        if isinstance(holder, dict) and isinstance(holder.get("model"), str):
            yield holder["model"]
