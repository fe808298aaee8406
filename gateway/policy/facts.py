"""What policy must know of a request's body, read without decoding the rest."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from gateway.errors import InvalidRequest
from gateway.policy.endpoints import Endpoint
from gateway.policy.members import Span, members
from gateway.policy.models import searches
from gateway.policy.tools import billed, billed_in_items

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts. A JSON null counts as absent, as it does for OpenAI.

    `n` is how many choices may be generated: the larger of n and best_of, for each prompt of a completion.
    `max_output` is the client's own bound on the tokens of each choice; None: unbounded; 0 where nothing is
    generated. `include_usage` is None when `stream_options` does not say. `stateful`: the answer depends on,
    or leaves behind, more than the body says. `spans` are byte positions of the top-level values in a body of
    `size` bytes. `tier` is the service tier asked for; `tools` are the types of tools that the upstream runs
    and bills itself (`web_search`), `max_tool_calls` the client's bound on their calls; `audio`: the answer
    may be spoken. `background`: the upstream goes on after its answer, and after its client has left.
    """

    model: str | None
    stream: bool
    include_usage: bool | None
    n: int
    max_output: int | None
    store: bool | None
    stateful: bool
    spans: Mapping[str, Span]
    size: int = 0
    tier: str | None = None
    tools: frozenset[str] = frozenset()
    max_tool_calls: int | None = None
    audio: bool = False
    background: bool = False


_MAX_MODEL = 256
_MAX_TIER = 64
_MAX_TOKENS = 1_000_000_000
_INTEGER = re.compile(rb"0|[1-9][0-9]{0,9}")
_BOOLEAN = {b"true": True, b"false": False}

# Which names bound one choice's tokens, by operation. Where there is none, nothing is generated.
_BOUNDS = {
    "chat.completions": ("max_tokens", "max_completion_tokens"),
    "completions": ("max_tokens",),
    "responses": ("max_output_tokens",),
}
# name, least, most: as OpenAI's description of its API has it.
_CHOICES = {
    "chat.completions": (("n", 1, 128),),
    "completions": (("n", 1, 128), ("best_of", 0, 20)),
}
_STATE = {"responses": ("previous_response_id", "conversation", "prompt")}
_MODEL_OPTIONAL = frozenset({"moderations"})
_WITH_TOOLS = frozenset({"chat.completions", "responses"})

_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)
_STRINGS = msgspec.json.Decoder(list[str])


def read(endpoint: Endpoint, body: bytes, engine: str | None = None) -> Facts:
    """The facts of a body. `engine` is the model, where the path names it.

    Raises InvalidRequest: `invalid_json`, `duplicate_key`, `missing_model`, `invalid_<field>`, with `param`.
    """
    if not endpoint.body:
        return Facts(engine, False, None, 1, 0, None, False, {})
    fields = _Fields(body, members(body))
    stream = endpoint.streams and bool(fields.boolean("stream"))
    facts = Facts(
        model=_model(endpoint, fields, engine),
        stream=stream,
        include_usage=_include_usage(fields) if stream else None,
        n=_choices(endpoint, fields),
        max_output=_max_output(endpoint, fields),
        store=fields.boolean("store") if endpoint.streams else None,
        stateful=_stateful(endpoint, fields),
        spans=fields.spans,
        size=len(body),
        tier=_tier(fields) if endpoint.metered else None,
        tools=_tools(endpoint, fields),
        max_tool_calls=fields.integer("max_tool_calls", 0, _MAX_TOKENS) if _is_responses(endpoint) else None,
        audio=_audio(fields) if endpoint.name == "chat.completions" else False,
        background=_background(endpoint, fields),
    )
    return sent_as(facts, endpoint, facts.model)


def sent_as(facts: Facts, endpoint: Endpoint, model: str | None) -> Facts:
    """The facts where the upstream is asked for `model`: a chat with one that searches is searched for.

    A chat is searched for once, and every time: it has no other billed tools, and no bound on them.
    """
    if endpoint.name != "chat.completions" or model is None:
        return facts
    if searches(model) and "web_search" not in facts.tools:
        facts = replace(facts, tools=facts.tools | {"web_search"})
    return replace(facts, max_tool_calls=1) if facts.tools == {"web_search"} else facts


class _Fields:
    """The top level of one body. Every method reads one field; None: it is absent or null."""

    def __init__(self, body: bytes, spans: Mapping[str, Span]) -> None:
        self.body = body
        self.spans = spans

    def raw(self, name: str) -> bytes | None:
        span = self.spans.get(name)
        if span is None:
            return None
        value = self.body[span[0] : span[1]]
        return None if value == b"null" else value

    def boolean(self, name: str) -> bool | None:
        value = self.raw(name)
        if value is None:
            return None
        if value not in _BOOLEAN:
            raise _invalid(name, "must be true or false")
        return _BOOLEAN[value]

    def integer(self, name: str, least: int, most: int) -> int | None:
        value = self.raw(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value) or not least <= int(value) <= most:
            raise _invalid(name, f"must be a whole number from {least} to {most}")
        return int(value)

    def decoded(self, name: str, decode: Callable[[bytes], _T], shape: str) -> _T | None:
        value = self.raw(name)
        try:
            return None if value is None else decode(value)
        except (msgspec.MsgspecError, RecursionError):
            raise _invalid(name, f"must be {shape}") from None


def _invalid(name: str, complaint: str) -> InvalidRequest:
    return InvalidRequest(f"'{name}' {complaint}.", code=f"invalid_{name}", param=name)


def _model(endpoint: Endpoint, fields: _Fields, engine: str | None) -> str | None:
    if "model" not in fields.spans:
        if engine is None and endpoint.name not in _MODEL_OPTIONAL:
            raise InvalidRequest("You must provide 'model'.", code="missing_model", param="model")
        return None if engine is None else _checked(engine)
    start, end = fields.spans["model"]
    try:
        model = _checked(msgspec.json.decode(fields.body[start:end], type=str))
    except msgspec.ValidationError:
        raise _invalid("model", "must be a string") from None
    if engine is not None and engine != model:
        raise _invalid("model", "differs from the engine that the URL names")
    return model


def _checked(model: str) -> str:
    if not 0 < len(model) <= _MAX_MODEL or not model.isprintable():
        raise _invalid("model", f"must have 1 to {_MAX_MODEL} printable characters")
    return model


def _include_usage(fields: _Fields) -> bool | None:
    options = fields.raw("stream_options")
    if options is None:
        return None
    if not options.startswith(b"{"):
        raise _invalid("stream_options", "must be an object")
    inner = _Fields(options, members(options, "stream_options."))
    try:
        return inner.boolean("include_usage")
    except InvalidRequest:
        raise _invalid("stream_options", "must have a boolean 'include_usage'") from None


def _choices(endpoint: Endpoint, fields: _Fields) -> int:
    asked = [fields.integer(*choice) for choice in _CHOICES.get(endpoint.name, ())]
    choices = max((count for count in asked if count is not None), default=1)
    return max(choices, 1) * (_prompts(fields) if endpoint.name == "completions" else 1)


def _prompts(fields: _Fields) -> int:
    """How many prompts a completion has: each is answered with its own choices."""
    prompt = fields.raw("prompt")
    if prompt is None or not prompt.startswith(b"["):
        return 1
    items = _LIST.decode(prompt)
    is_tokens = bool(items) and bytes(items[0])[:1] not in (b'"', b"[")
    return 1 if is_tokens else max(len(items), 1)


def _max_output(endpoint: Endpoint, fields: _Fields) -> int | None:
    names = _BOUNDS.get(endpoint.name)
    if names is None:
        return 0
    bounds = [fields.integer(name, 0, _MAX_TOKENS) for name in names]
    return max((bound for bound in bounds if bound is not None), default=None)


def _stateful(endpoint: Endpoint, fields: _Fields) -> bool:
    if endpoint.name not in _STATE:
        return False
    return _background(endpoint, fields) or any(
        fields.raw(name) is not None for name in _STATE[endpoint.name]
    )


def _background(endpoint: Endpoint, fields: _Fields) -> bool:
    return _is_responses(endpoint) and fields.raw("background") not in (None, b"false")


def _is_responses(endpoint: Endpoint) -> bool:
    return endpoint.name == "responses"


def _tier(fields: _Fields) -> str | None:
    shape = f"a string of at most {_MAX_TIER} printable characters"
    tier = fields.decoded("service_tier", _STRING.decode, shape)
    if tier is not None and (len(tier) > _MAX_TIER or not tier.isprintable()):
        raise _invalid("service_tier", f"must be {shape}")
    return tier


def _tools(endpoint: Endpoint, fields: _Fields) -> frozenset[str]:
    if endpoint.name not in _WITH_TOOLS:
        return frozenset()
    tools = fields.decoded("tools", billed, "an array of objects, each with its type") or frozenset()
    if _is_responses(endpoint):
        return tools | billed_in_items(fields.raw("input") or b"")
    return tools if fields.raw("web_search_options") is None else tools | {"web_search"}


def _audio(fields: _Fields) -> bool:
    return "audio" in (fields.decoded("modalities", _STRINGS.decode, "an array of strings") or ())
