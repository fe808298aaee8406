"""An edit as a chat, and the chat's answer as an edit: the operation that OpenAI shut down in January 2024.

What it took and gave is in the description of the API as its Python library 0.28 had it: an instruction and
the text that it is about go in, choices with a text come out.
"""

from typing import Any, Final

import msgspec

from gateway.policy.bridge import cannot, document, effort, members_of, refuse_others
from gateway.policy.bridge_answer import read
from gateway.policy.facts import Facts

_CARRIED: Final = ("n", "temperature", "top_p")
_KNOWN: Final = frozenset({"model", "instruction", "input", *_CARRIED})
_KEPT: Final = ("created", "usage")


def to_chat(body: bytes, facts: Facts, model: str) -> bytes:
    """The chat completion that asks `model` for this edit. `facts` are those of this very body.

    The instruction is the system's message and the input the user's. An edit has no bound on its tokens, and
    so this chat has none. Raises InvalidRequest, `cannot_bridge`; `param` names the member.
    """
    given = members_of(body, facts)
    refuse_others(given, _KNOWN)
    texts = _text(given.get("instruction"), "instruction"), _text(given.get("input", b'""'), "input")
    return document(
        {
            "model": msgspec.json.encode(model),
            "messages": b'[{"role":"system","content":%b},{"role":"user","content":%b}]' % texts,
            **{name: given[name] for name in _CARRIED if name in given},
            **effort(model),
        }
    )


def from_chat(body: bytes) -> bytes:
    """The body of a chat completion as that of an edit; what is none, as an error, stays as it is."""
    answer = read(body)
    if answer is None:
        return body
    members, choices = answer
    edit: dict[str, Any] = {"object": "edit", **{name: members[name] for name in _KEPT if name in members}}
    edit["choices"] = [{"text": choice.text, "index": choice.index} for choice in choices]
    return msgspec.json.encode(edit)


def _text(value: bytes | None, name: str) -> bytes:
    if value is None or not value.startswith(b'"'):
        raise cannot(name, "must be text")
    return value
