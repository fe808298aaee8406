"""A completion that is asked of a model which only chats: the request as a chat.

The prompt becomes the one message of a user. What both APIs have goes over byte for byte; what a chat cannot
do is refused by name, so that no answer is to another question than the client's.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from gateway.errors import InvalidRequest
from gateway.policy.facts import Facts
from gateway.policy.jsonbytes import parse
from gateway.policy.models import reasons, untuned

DEFAULT_MAX_TOKENS: Final = 16  # what a completion has that does not say: OpenAI's description of its API

_CARRIED: Final = (
    "n",
    "stop",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "user",
    "stream",
    "stream_options",
)
_READ: Final = ("model", "prompt", "max_tokens", "logprobs", "best_of", "echo", "suffix")
_KNOWN: Final = frozenset(_CARRIED + _READ)

_CHATS: Final = re.compile(r"gpt-3\.5-turbo|gpt-4|gpt-[5-9]|gpt-[1-9][0-9]|chatgpt-|o[1-9]")
# Of these, some complete, and the others answer neither chats nor completions.
_CHATS_NOT: Final = re.compile(
    r"-instruct|-completions|-pro(?:-|$)|codex|deep-research|cyber|image|audio|realtime|live|transcribe|tts"
)

# The least that a model can think before it answers (OpenAI's guide to reasoning): a completion's tokens are
# its text, and thoughts would use up 16 of them. While it thinks, it knows no temperature. The first that
# fits holds.
_EFFORTS: Final = (
    (re.compile(r".*-chat-latest"), None),
    (re.compile(r"gpt-5(?:-mini|-nano)?(?:-[0-9]{4}-[0-9]{2}-[0-9]{2})?$"), "minimal"),
    (re.compile(r"gpt-(?:5\.[1-9]|[6-9]|[1-9][0-9])"), "none"),
    (re.compile(r"o[1-9]"), "low"),
)

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_STRING: Final = msgspec.json.Decoder(str)

Given = Mapping[str, bytes]


def speaks_only_chat(model: str) -> bool:
    """Whether it is one of OpenAI's own that answer chat completions and no completions.

    Names with a provider before them (`openai/gpt-4o`) are somebody else's, who may answer both.
    """
    base = untuned(model)
    return _CHATS.match(base) is not None and _CHATS_NOT.search(base) is None


def to_chat(body: bytes, facts: Facts, model: str) -> bytes:
    """The chat completion that asks `model` what this completion asks. `facts` are those of this very body.

    Raises InvalidRequest, `cannot_bridge`, for what a chat cannot do; `param` names the member.
    """
    given = members_of(body, facts)
    refuse_others(given, _KNOWN)
    _check(given)
    chat = {
        "model": msgspec.json.encode(model),
        "messages": b'[{"role":"user","content":%b}]' % _prompt(given.get("prompt")),
        **{name: given[name] for name in _CARRIED if name in given},
        **_max_tokens(facts, model),
        **effort(model),
        **_logprobs(given.get("logprobs")),
    }
    return document(chat)


def prompt_length(body: bytes, facts: Facts) -> int:
    """How many characters the prompt of a body has that can be bridged: where the answer's text begins."""
    prompt = parse(_STRING, _prompt(members_of(body, facts).get("prompt")))
    return len(prompt) if prompt is not None else 0


def members_of(body: bytes, facts: Facts) -> dict[str, bytes]:
    """The members of a body, as JSON; a null counts as absent."""
    values = {name: body[start:end] for name, (start, end) in facts.spans.items()}
    return {name: value for name, value in values.items() if value != b"null"}


def document(members: Given) -> bytes:
    """The object with these members, whose names need no escapes."""
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), value) for name, value in members.items())


def refuse_others(given: Given, known: Collection[str]) -> None:
    """Raises InvalidRequest, `cannot_bridge`, for a member that is not known."""
    for name in given:
        if name not in known:
            raise cannot(name, "is not known of this operation")


def _check(given: Given) -> None:
    if given.get("echo", b"false") != b"false":
        raise cannot("echo", "cannot be had of a chat: it does not repeat the prompt")
    if given.get("suffix", b'""') != b'""':
        raise cannot("suffix", "cannot be had of a chat: it does not write what comes before a text")
    if int(given.get("best_of", b"1")) > int(given.get("n", b"1")):
        raise cannot("best_of", "must not be larger than 'n': a chat returns all that it writes")


def _prompt(prompt: bytes | None) -> bytes:
    """The one text of the prompt, as JSON."""
    if prompt is None:
        raise cannot("prompt", "is missing, and a chat begins with it")
    if prompt.startswith(b'"'):
        return prompt
    items = parse(_ITEMS, prompt) or []
    if not items or not all(bytes(item).startswith(b'"') for item in items):
        raise cannot("prompt", "must be text: a chat does not take tokens")
    if len(items) > 1:
        raise cannot("prompt", "must be one text: a chat answers one at a time")
    return bytes(items[0])


def _max_tokens(facts: Facts, model: str) -> dict[str, bytes]:
    most = DEFAULT_MAX_TOKENS if facts.max_output is None else facts.max_output
    if most == 0:
        raise cannot("max_tokens", "must be at least 1: a chat always answers")
    return {"max_completion_tokens" if reasons(model) else "max_tokens": b"%d" % most}


def effort(model: str) -> dict[str, bytes]:
    """The member that has `model` think as little as it can; none, where it does not think."""
    base = untuned(model)
    least = next((least for pattern, least in _EFFORTS if pattern.match(base)), None)
    return {} if least is None else {"reasoning_effort": msgspec.json.encode(least)}


def _logprobs(logprobs: bytes | None) -> dict[str, bytes]:
    if logprobs is None:
        return {}
    if logprobs not in (b"0", b"1", b"2", b"3", b"4", b"5"):
        raise cannot("logprobs", "must be a whole number from 0 to 5")
    return {"logprobs": b"true", "top_logprobs": logprobs}


def cannot(name: str, reason: str) -> InvalidRequest:
    """The refusal of a member; it repeats no value."""
    shown = name if name.isprintable() and len(name) <= 64 else None
    subject = f"'{shown}'" if shown is not None else "A member of the body"
    message = (
        f"{subject} {reason}. This request is put to the model as a chat completion: mend it, or ask "
        "/v1/chat/completions yourself."
    )
    return InvalidRequest(message, code="cannot_bridge", param=shown)
