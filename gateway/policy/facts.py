"""What policy must know of a request's body, read without decoding the rest."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from gateway.errors import InvalidRequest
from gateway.policy import frozen
from gateway.policy.bounds import MAX_TOKENS, SPEECH, choices, input_bound, max_output
from gateway.policy.document import plain
from gateway.policy.fields import Fields, PlainFields, invalid
from gateway.policy.members import Span, members, once
from gateway.policy.models import searches
from gateway.policy.operation import Body, Charge, Endpoint
from gateway.policy.outputs import most_of_form
from gateway.policy.tools import billed, billed_in_items, only_own


@frozen.dataclass(frozen=True, slots=True)
class Facts:
    """The facts. A JSON null counts as absent, as it does for OpenAI.

    `n` is how many choices may be generated: the larger of n and best_of, for each prompt of a completion.
    `max_output` is the client's own bound on the tokens of each choice; None: unbounded; 0 where nothing is
    generated. `include_usage` is None when `stream_options` does not say. `stateful`: the answer depends on,
    or leaves behind, more than the body says. `spans` are byte positions of the top-level values in a body of
    `size` bytes. `tier` is the service tier asked for; `tools` are the types of tools that the upstream runs
    and bills itself (`web_search`), `max_tool_calls` the client's bound on their calls; `audio`: the answer
    may be spoken. `background`: the upstream goes on after its answer, and after its client has left.
    `named` is the model that the body itself names: where it is not the one that is to be sent, the body is
    changed. `input_bound` is the most input tokens that can be billed, where the body was not read whole.
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
    named: str | None = None
    input_bound: int | None = None


_MAX_MODEL = 256
_MAX_TIER = 64
_TIER = f"a string of at most {_MAX_TIER} printable characters"

_STATE = {"responses": ("previous_response_id", "conversation", "prompt")}
_WITH_TOOLS = frozenset({"chat.completions", "responses"})
_NO_TOOLS = frozenset[str]()

_ANY = msgspec.json.Decoder(msgspec.Raw)
_STRING = msgspec.json.Decoder(str)
_STRINGS = msgspec.json.Decoder(list[str])


def read(endpoint: Endpoint, body: bytes, engine: str | None = None, deployment: str | None = None) -> Facts:
    """The facts of a JSON body. `engine` and `deployment` are the model, where the path names it.

    A deployment is Azure's, and counts whatever the body says. What is neither judged nor metered passes in
    any shape: what cannot be known of it is absent. An empty body does where none has to be.

    Raises InvalidRequest: `invalid_json`, `duplicate_key`, `missing_model`, `invalid_<field>`, with `param`.
    """
    fields = _fields(endpoint, body)
    stream = endpoint.streams and _streams(endpoint, fields)
    named = _named(fields)
    facts = Facts(
        model=_model(endpoint, fields, named, engine, deployment),
        stream=stream,
        include_usage=_include_usage(fields) if stream and endpoint.judged else None,
        n=choices(endpoint, fields),
        max_output=max_output(endpoint, fields),
        store=fields.boolean("store") if endpoint.judged and endpoint.streams else None,
        stateful=_stateful(endpoint, fields),
        spans=fields.spans,
        size=len(body),
        tier=_tier(fields) if endpoint.charge is Charge.USAGE else None,
        tools=_tools(endpoint, fields),
        max_tool_calls=fields.integer("max_tool_calls", 0, MAX_TOKENS) if _is_responses(endpoint) else None,
        audio=_audio(fields) if endpoint.name == "chat.completions" else False,
        background=_background(endpoint, fields),
        named=named,
        input_bound=input_bound(endpoint, fields),
    )
    return sent_as(facts, endpoint, facts.model)


def form_facts(
    endpoint: Endpoint,
    fields: Mapping[str, str],
    size: int,
    engine: str | None = None,
    deployment: str | None = None,
) -> Facts:
    """The facts of a form of `size` bytes, of whose fields the small ones have been read.

    Its `spans` are empty. Raises InvalidRequest like `read`.
    """
    count = {name: fields[name].encode(errors="replace") for name in ("n",) if fields.get(name)}
    numbers = Fields(b"".join(count.values()), {name: (0, len(raw)) for name, raw in count.items()})
    named = _checked(fields["model"]) if fields.get("model") else None
    n = choices(endpoint, numbers)
    metered = endpoint.charge is Charge.USAGE
    bound, output = most_of_form(endpoint.name, fields.get("size"), fields.get("prompt", ""))
    return Facts(
        model=_model(endpoint, numbers, named, engine, deployment),
        stream=endpoint.streams and fields.get("stream", "").lower() in ("true", "1"),
        include_usage=None,
        n=n,
        max_output=output if metered else 0,
        store=None,
        stateful=False,
        spans={},
        size=size,
        named=named,
        input_bound=bound if metered else 0,
    )


def _fields(endpoint: Endpoint, body: bytes) -> Fields:
    if endpoint.body is Body.NONE:
        return Fields(body, {}, strict=False)
    strict = endpoint.judged or endpoint.charge is Charge.USAGE
    if strict and (values := plain(body)) is not None:
        return PlainFields(body, values)
    if strict or body.lstrip(b" \t\n\r").startswith(b"{"):
        return Fields(body, members(body), strict)
    if body:
        _check_syntax(body)
    return Fields(body, {}, strict)


def _check_syntax(body: bytes) -> None:
    try:
        _ANY.decode(body)
        body.decode()
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise InvalidRequest("The body is not valid JSON.") from None


def sent_as(facts: Facts, endpoint: Endpoint, model: str | None) -> Facts:
    """The facts where the upstream is asked for `model`: a chat with one that searches is searched for.

    A chat is searched for once, and every time: it has no other billed tools, and no bound on them.
    """
    if endpoint.name != "chat.completions" or model is None:
        return facts
    if searches(model) and "web_search" not in facts.tools:
        facts = replace(facts, tools=facts.tools | {"web_search"})
    return replace(facts, max_tool_calls=1) if facts.tools == {"web_search"} else facts


def _named(fields: Fields) -> str | None:
    """The model in the body. Of another shape it is none where unknown shapes pass."""
    if not fields.strict and not (fields.raw("model") or b"").startswith(b'"'):
        return None
    model = fields.text("model")
    return None if model is None else _checked(model)


def _model(
    endpoint: Endpoint,
    fields: Fields,
    named: str | None,
    engine: str | None,
    deployment: str | None,
) -> str | None:
    if deployment is not None:
        return _checked(deployment)
    if endpoint.model and named is None and "model" in fields:
        raise invalid("model", "must be a string")
    if engine is None:
        if named is None and endpoint.model:
            raise InvalidRequest("You must provide 'model'.", code="missing_model", param="model")
        return named
    if named is not None and named != engine:
        raise invalid("model", "differs from the engine that the URL names")
    return _checked(engine)


def _checked(model: str) -> str:
    if not 0 < len(model) <= _MAX_MODEL or not model.isprintable():
        raise invalid("model", f"must have 1 to {_MAX_MODEL} printable characters")
    return model


def _include_usage(fields: Fields) -> bool | None:
    inner = fields.inner("stream_options")
    if inner is None:
        return None
    try:
        return inner.boolean("include_usage")
    except InvalidRequest:
        raise invalid("stream_options", "must have a boolean 'include_usage'") from None


def _streams(endpoint: Endpoint, fields: Fields) -> bool:
    if endpoint.name == SPEECH:
        return fields.text("stream_format") == "sse"
    return bool(fields.boolean("stream"))


def _stateful(endpoint: Endpoint, fields: Fields) -> bool:
    if endpoint.name not in _STATE:
        return False
    return _background(endpoint, fields) or any(
        fields.raw(name) is not None for name in _STATE[endpoint.name]
    )


def _background(endpoint: Endpoint, fields: Fields) -> bool:
    return _is_responses(endpoint) and fields.raw("background") not in (None, b"false")


def _is_responses(endpoint: Endpoint) -> bool:
    return endpoint.name == "responses"


def _tier(fields: Fields) -> str | None:
    if "service_tier" not in fields:
        return None
    tier = fields.decoded("service_tier", _STRING.decode, _TIER)
    if tier is not None and (len(tier) > _MAX_TIER or not tier.isprintable()):
        raise invalid("service_tier", f"must be {_TIER}")
    return tier


def _tools(endpoint: Endpoint, fields: Fields) -> frozenset[str]:
    if endpoint.name not in _WITH_TOOLS:
        return _NO_TOOLS
    tools = _billed(fields) if "tools" in fields else _NO_TOOLS
    if _is_responses(endpoint):
        return tools | billed_in_items(fields.raw("input") or b"")
    return tools if fields.raw("web_search_options") is None else tools | {"web_search"}


def _billed(fields: Fields) -> frozenset[str]:
    if fields.plain and only_own(fields.value("tools")):
        return _NO_TOOLS
    if not fields.plain and (given := fields.raw("tools")) is not None:
        once(given, "tools.")  # what is billed is what is sent
    return fields.decoded("tools", billed, "an array of objects, each with its type") or _NO_TOOLS


def _audio(fields: Fields) -> bool:
    return "audio" in (fields.decoded("modalities", _STRINGS.decode, "an array of strings") or ())
