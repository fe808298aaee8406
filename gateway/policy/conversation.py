"""What is known of a realtime session: how large its next response can be, and who transcribes it."""

from typing import Any, Final

import msgspec

from gateway.policy.facts import Facts
from gateway.policy.jsonbytes import parse
from gateway.policy.models import best
from gateway.policy.realtime import (
    APPEND,
    SESSIONS,
    UPDATES,
    Event,
    Response,
    response_of,
    transcribers_in,
)
from gateway.policy.records import Usage
from gateway.policy.weights import LETTERS_PER_AUDIO_TOKEN, mcp_weight, references, weight

# OpenAI's model pages. What they do not say is taken for the largest.
_CONTEXT: Final = {
    "gpt-realtime": 32_768,
    "gpt-realtime-20*": 32_768,
    "gpt-realtime-mini*": 32_768,
}
_MOST_CONTEXT: Final = 131_072
_MOST_OUTPUT: Final = 1_000_000_000

_ANY = msgspec.json.Decoder(Any)


class Conversation:
    """Told of all events, from either side, in the order in which they pass.

    The input of the next response is at most what the last one read and wrote, and what came since; never
    more than the model's context. `blind`: audio reaches the model by another way (WebRTC, telephone), so
    that only the context bounds it. What a client wants changed counts as soon as it is sent where it makes a
    response dearer, and from the server's word on where it makes one cheaper.
    """

    def __init__(self, model: str | None, *, blind: bool = False) -> None:
        self.model = model
        self.transcriber: str | None = None
        self._blind = blind
        self._known = 0
        self._fresh = 0  # what came since the last response began
        self._max_output: int | None = None
        self._spoken = True

    def most_input(self, writing: int = 0) -> int:
        """Tokens. `writing`: the most that is written before it begins, by what is under way."""
        bound = best(_CONTEXT, self.model or "") or _MOST_CONTEXT
        return bound if self._blind else min(bound, self._known + self._fresh + writing)

    def client(self, data: bytes, event: Event) -> None:
        if event.type == APPEND:
            self._fresh += len(data) // LETTERS_PER_AUDIO_TOKEN + 1
            return
        if event.type in UPDATES:
            self._session(event, said_by_server=False)
        decoded = parse(_ANY, data)
        # Each may be all that was said, and be named more than once.
        referred = min(references(decoded) * (self._known + self._fresh), _MOST_CONTEXT)
        self._fresh += weight(decoded) + referred

    def server(self, data: bytes, event: Event) -> None:
        if event.type in SESSIONS:
            self._fresh += len(event.session)
            self._session(event, said_by_server=True)
        else:
            self._fresh += mcp_weight(data, event)

    def began(self) -> None:
        """A response reads what is there now."""
        self._known, self._fresh = self._known + self._fresh, 0

    def ended(self, response: Response, usage: Usage) -> None:
        """A response outside the conversation (`conversation: none`) says nothing about the next one."""
        if response.conversation_id is not None:
            self._known = usage.total

    def facts(self, event: Event | None) -> Facts:
        """What bounds the next response; `event`: the `response.create` that asks for it, if one does."""
        asked = response_of(event) if event is not None else Response()
        bound = _bound(asked.max_output_tokens, asked.max_response_output_tokens)
        modalities = asked.output_modalities or asked.modalities
        return Facts(
            model=self.model,
            stream=True,
            include_usage=None,
            n=1,
            max_output=self._max_output if bound is msgspec.UNSET else bound,
            store=None,
            stateful=True,
            spans={},
            audio="audio" in modalities if isinstance(modalities, list) else self._spoken,
        )

    def _session(self, event: Event, *, said_by_server: bool) -> None:
        session: Any = parse(_ANY, event.session)
        if not isinstance(session, dict):
            return
        if said_by_server and self.model is None and isinstance(session.get("model"), str):
            self.model = session["model"]
        bound: Any = _bound(
            session.get("max_output_tokens", msgspec.UNSET),
            session.get("max_response_output_tokens", msgspec.UNSET),
        )
        if bound is not msgspec.UNSET:
            self._narrow(bound, said_by_server=said_by_server)
        modalities = session.get("output_modalities") or session.get("modalities")
        if isinstance(modalities, list) and (said_by_server or "audio" in modalities):
            self._spoken = "audio" in modalities
        named = list(transcribers_in(session))
        if named:
            self.transcriber = named[-1]

    def _narrow(self, bound: int | None, *, said_by_server: bool) -> None:
        looser = bound is None or (self._max_output is not None and bound > self._max_output)
        if said_by_server or looser:
            self._max_output = bound


def _bound(*given: Any) -> Any:
    """The first bound that is given: a number of tokens, or None for `inf`; UNSET where none is."""
    for value in given:
        if value is msgspec.UNSET:
            continue
        return value if type(value) is int and 0 <= value <= _MOST_OUTPUT else None
    return msgspec.UNSET
