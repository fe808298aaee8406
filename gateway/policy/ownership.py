"""Which objects of OpenAI's API belong to somebody, how long that is remembered, what strangers are told."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, unquote

from gateway.errors import GatewayError, NotFound, PreviousResponseNotFound
from gateway.policy.endpoints import Endpoint
from gateway.policy.facts import Facts
from gateway.policy.records import Client

# A place in an endpoint's path → the kind of object that it names. What is below such an object (a thread's
# messages, a container's files) belongs to whom it belongs to.
KINDS: Final = {
    "assistant_id": "assistant",
    "batch_id": "batch",
    "call_id": "call",
    "completion_id": "completion",
    "consent_id": "consent",
    "container_id": "container",
    "conversation_id": "conversation",
    "eval_id": "eval",
    "file_id": "file",
    "fine_tuning_job_id": "fine_tuning_job",
    "response_id": "response",
    "session_id": "chatkit_session",
    "skill_id": "skill",
    "thread_id": "thread",
    "upload_id": "upload",
    "vector_store_id": "vector_store",
    "video_id": "video",
    "character_id": "character",
    "voice_id": "voice",
    "agent_id": "agent",
    "automation_id": "automation",
    "environment_id": "environment",
    "environment_template_id": "environment_template",
    "agent_session_id": "agent_session",
    "vault_id": "vault",
    "live_session_id": "live_session",
}

# A spoken answer has no place in a path, and an owner all the same.
OWNED: Final = frozenset({*KINDS.values(), "audio"})

_DAY_MS: Final = 86_400_000

# How long the gateway remembers whose it is, in days: a day or more longer than OpenAI keeps it. What is not
# here is kept until it is deleted. Responses and stored completions: 30 days. An upload ends after an hour,
# a ChatKit session after ten minutes, a spoken answer can be referred to for a day at most. A container ends
# when nobody has used it for 20 minutes; what it is used for is a response.
_DAYS: Final = {
    "response": 31,
    "completion": 31,
    "container": 31,
    "upload": 1,
    "call": 1,
    "chatkit_session": 1,
    "audio": 2,
}

# How OpenAI says that there is none. Those that are not here have the text of responses.
_WORDS: Final = {
    "assistant": "No assistant found with id '{id}'.",
    "thread": "No thread found with id '{id}'.",
    "batch": "No batch found with id '{id}'.",
    "file": "No such File object: {id}",
    "upload": "No such Upload object: {id}",
    "fine_tuning_job": "Could not find fine tune: {id}",
    "model": "The model '{id}' does not exist",
    "response": "Response with id '{id}' not found.",
}
_CODES: Final = {"fine_tuning_job": "fine_tune_not_found"}
_PARAMS: Final = {"file": "id", "fine_tuning_job": "fine_tune_id"}
# The one operation for which a model is an object: all others ask it, or about it.
_TUNED: Final = "models.delete"
_SHOWN: Final = 128  # characters of an id: OpenAI's have at most 70

_KEY: Final = re.compile(r"sk-[A-Za-z0-9_\-]+")
_PLACE: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Named:
    """An object that a request or an answer names. `member`: where a body does."""

    kind: str
    id: str
    member: str = ""


def owner_of(client: Client) -> str:
    """Who owns what this client makes: its team, or itself. A team may be called like a key."""
    return f"key:{client.id}" if client.team is None else f"team:{client.team}"


def in_path(endpoint: Endpoint, args: Mapping[str, str]) -> Named | None:
    """The outermost object with an owner that the path names: what is below it is its owner's as well."""
    if endpoint.name == _TUNED:
        return Named("model", args["model"])
    place = _outermost(endpoint.path)
    return Named(KINDS[place], args[place]) if place is not None and place in args else None


def in_query(endpoint: Endpoint, query: str) -> list[Named]:
    """A realtime session that listens to a call (`?call_id=`): the only object that a query gives access to.

    What lists take (`after`, `before`) only says where to begin.
    """
    if "call_id" not in query and "%" not in query:
        return []
    if not endpoint.path.startswith("/realtime"):
        return []
    return [Named("call", value, name) for name, value in parse_qsl(query) if name == "call_id"]


def in_segments(endpoint: Endpoint) -> list[Named]:
    """All that the path of an operation which the table does not have could name."""
    return [Named("object", unquote(each)) for each in endpoint.path.split("/") if each and each[0] != "{"]


def ends(endpoint: Endpoint) -> bool:
    """Whether a success means that the object that the path names is no more."""
    place = _outermost(endpoint.path)
    if endpoint.name == _TUNED:
        return True
    return endpoint.method == "DELETE" and place is not None and endpoint.path.endswith(f"{{{place}}}")


def stays(endpoint: Endpoint, facts: Facts | None) -> bool:
    """Whether the upstream keeps what this request makes, so that it can be asked for later.

    Responses are kept unless `store` is false, chat completions only where it is true.
    """
    if endpoint.path == "/responses":
        return facts is None or facts.store is not False
    if endpoint.path == "/chat/completions":
        return facts is not None and facts.store is True
    return True


def lifetime(kind: str) -> int:
    """For how long (ms) it is remembered who made it. 0: until it is deleted."""
    return _DAYS.get(kind, 0) * _DAY_MS


def missing(named: Named) -> GatewayError:
    """What OpenAI says of an object that does not exist: the same for a stranger's, so that nothing shows."""
    shown = _KEY.sub("sk-...", named.id.encode(errors="replace").decode())
    shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
    if named.member == "previous_response_id":
        return PreviousResponseNotFound(f"Previous response with id '{shown}' not found.", param=named.member)
    words = (
        _WORDS.get(named.kind) or f"{named.kind.replace('_', ' ').capitalize()} with id '{{id}}' not found."
    )
    return NotFound(
        words.format(id=shown),
        said=_CODES.get(named.kind),
        param=named.member or _PARAMS.get(named.kind),
    )


@lru_cache(maxsize=1024)
def _outermost(path: str) -> str | None:
    return next((place for place in _PLACE.findall(path) if place in KINDS), None)
