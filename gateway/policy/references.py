"""The objects with an owner that a request's body names: other people's must not be reached through them.

One table of members serves all operations, wherever in a body a member stands, so that a place that OpenAI
adds tomorrow is covered today; it is the name of the member that says that a string is an id, and never the
string. A prompt may say `file-abc` or `resp_123` as it likes. What a client may name as it likes itself
(metadata, the schema of a function's arguments, …) is not looked into.

Not checked, because nothing says whose they are: items of responses and conversations (`item_reference`,
`msg_…`, `rs_…`), whose ids are random and shown to their owner alone; prompts (`prompt.id`), which are made
in OpenAI's dashboard for the whole account; parts of an upload, which only their own upload takes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.errors import Forbidden, InvalidRequest
from gateway.policy.inside import members_of, naming, read
from gateway.policy.ownership import Named

# member → kind of the object. Its value is an id, a list of ids, or an object whose `id` it is.
MEMBERS: Final = {
    "file_id": "file",
    "file_ids": "file",
    "input_file_id": "file",
    "training_file": "file",
    "validation_file": "file",
    "vector_store_id": "vector_store",
    "vector_store_ids": "vector_store",
    "container": "container",
    "container_id": "container",
    "skill_id": "skill",
    "assistant_id": "assistant",
    "previous_response_id": "response",
    "conversation": "conversation",
    "consent": "consent",
    "agent_id": "agent",
    "environment_id": "environment",
    "environment_template_id": "environment_template",
    "vault_id": "vault",
    "vault_ids": "vault",
}

# member → kind, where only an object's `id` is one: a string there is a voice's name, a URL, a format.
HOLDERS: Final = {"audio": "audio", "video": "video", "voice": "voice"}

# An eval may be run on whatever anybody has stored in the account.
_EVERYBODYS: Final = frozenset({"stored_completions", "responses", "logs"})

# What a response in a realtime session may say instead of a conversation's id.
_NO_IDS: Final = frozenset({"auto", "none"})

# Each is a question to the store. OpenAI takes 2,000 files at once.
_MOST: Final = 5_000

# Path → the fields by which its form names an object. They may stand behind a file: who passes such a form
# on has to read it to its end before, or to the last of these.
REFERRING_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "/audio/voices": frozenset({"consent"}),
    "/realtime/calls": frozenset({"session"}),
    "/containers/{container_id}/files": frozenset({"file_id"}),
    "/videos": frozenset({"input_reference[file_id]"}),
    "/videos/edits": frozenset({"video[id]"}),
    "/videos/extensions": frozenset({"video[id]"}),
}

# Fields of forms that are JSON. Others are text, whatever they look like.
_JSON_FIELDS: Final = frozenset({"session", "input_reference", *MEMBERS, *HOLDERS})


_named_in: Final = naming((*MEMBERS, *HOLDERS, "source"))


def in_body(body: bytes) -> list[Named]:
    """What this JSON body names, each once. A body that names nothing is searched once, and not decoded.

    Of members that are there twice, all count: readers differ in which one they believe. Raises
    InvalidRequest for a body that nests too deep or names too much, Forbidden for an eval of what everybody
    has stored.
    """
    if not _named_in(body):
        return []
    named = list(dict.fromkeys(read(body, _within)))
    if len(named) > _MOST:
        raise InvalidRequest(f"The body names more than {_MOST} objects.", code="invalid_value")
    return named


def in_form(fields: Mapping[str, str | Sequence[str]]) -> list[Named]:
    """What the fields of a form name: `file_id`, `video[id]`, `input_reference[file_id]`, `file_ids[]`.

    A field that is JSON itself (`session`) is looked into.
    """
    found: list[Named] = []
    for name, value in fields.items():
        for each in [value] if isinstance(value, str) else value:
            found += _in_field([part for part in re.split(r"[\[\].]+", name) if part], each)
    return list(dict.fromkeys(found))


def _in_field(path: list[str], value: str) -> Iterable[Named]:
    *outer, name = path or [""]
    if name == "session" or (name in _JSON_FIELDS and value.lstrip().startswith(("{", "["))):
        return in_body(b'{"%b":%b}' % (name.encode(), value.encode(errors="replace")))
    if name == "id" and outer:
        kind = MEMBERS.get(outer[-1]) or HOLDERS.get(outer[-1])
        return [Named(kind, value, outer[-1])] if kind else []
    return _named(name, MEMBERS[name], value) if name in MEMBERS else []


def _within(document: Any) -> Iterator[Named]:
    for name, value in members_of(document):
        if name == "source":
            yield from _source(value)
        elif name in MEMBERS:
            yield from _named(name, MEMBERS[name], value)
        elif name in HOLDERS:
            yield from _held(name, HOLDERS[name], value)


def _named(member: str, kind: str, value: Any) -> Iterator[Named]:
    if type(value) is str:
        if value and value not in _NO_IDS and not _openais(kind, value):
            yield Named(kind, value, member)
    elif type(value) is list:
        for item in value:
            if type(item) is str:
                yield from _named(member, kind, item)
    else:
        yield from _held(member, kind, value)


def _openais(kind: str, id: str) -> bool:
    """Skills that OpenAI has made itself belong to nobody."""
    return kind == "skill" and id.startswith("openai-")


def _held(member: str, kind: str, value: Any) -> Iterator[Named]:
    for name, inner in value if type(value) is tuple else ():
        if name == "id" and type(inner) is str and inner:
            yield Named(kind, inner, member)


def _types(value: Any) -> set[str]:
    pairs = value if type(value) is tuple else ()
    return {inner for name, inner in pairs if name == "type" and type(inner) is str}


def _source(value: Any) -> Iterator[Named]:
    """Of an eval's run: a file, or what has been stored; or data."""
    for each in value if type(value) is list else [value]:
        types = _types(each)
        if types & _EVERYBODYS:
            raise Forbidden(
                "An eval of what is stored reads everybody's: that takes a key without ownership.",
                code="endpoint_not_allowed",
                param="source",
            )
        if "file_id" in types:
            yield from _held("source", "file", each)
