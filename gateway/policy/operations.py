"""Every operation of OpenAI's API: those of its description, those that its Python library knows besides,
and `/edits`, which the library of 2023 still asks for.

Names are the library's own (`client.vector_stores.files.create`), but for the seven that the gateway has
always had.
"""

from gateway.policy.operation import (
    Body,
    Charge,
    Endpoint,
    act,
    delete,
    form,
    get,
    grouped,
    post,
    socket,
)
from gateway.policy.operations_agents import AGENTS, REALTIME
from gateway.policy.operations_organization import ORGANIZATION
from gateway.policy.operations_stored import (
    ASSISTANTS,
    BATCHES,
    CHATKIT,
    CONTAINERS,
    CONVERSATIONS,
    EVALS,
    FILES,
    FINE_TUNING,
    SKILLS,
    VECTOR_STORES,
    VIDEOS,
    VOICES,
)

_USAGE = Charge.USAGE


def _generate(name: str, path: str, *, streams: bool, charge: Charge = _USAGE, creates: str = "") -> Endpoint:
    return Endpoint(
        *(name, "POST", path, "", Body.JSON, charge, streams),
        cacheable=True,
        judged=True,
        model=name not in ("moderations", "responses"),  # a stored prompt may bring its own
        creates=creates,
    )


def _models(name: str, path: str) -> Endpoint:
    return Endpoint(name, "GET", path, "", judged=True)


INFERENCE = grouped(
    "inference",
    _generate("chat.completions", "/chat/completions", streams=True, creates="completion"),
    _generate("completions", "/completions", streams=True),
    _generate("embeddings", "/embeddings", streams=False),
    _generate("responses", "/responses", streams=True, creates="response"),
    _generate("moderations", "/moderations", streams=False, charge=Charge.FREE),
    _models("models.list", "/models"),
    _models("models.retrieve", "/models/{model}"),
    post("edits", "/edits", _USAGE),
    socket("responses.connect", "/responses", _USAGE, creates="response"),
    post("audio.speech.create", "/audio/speech", _USAGE, streams=True),
    form("audio.transcriptions.create", "/audio/transcriptions", _USAGE, streams=True),
    form("audio.translations.create", "/audio/translations", _USAGE),
    get("chat.completions.list", "/chat/completions", lists="completion"),
    get("chat.completions.retrieve", "/chat/completions/{completion_id}"),
    post("chat.completions.update", "/chat/completions/{completion_id}"),
    delete("chat.completions.delete", "/chat/completions/{completion_id}"),
    get("chat.completions.messages.list", "/chat/completions/{completion_id}/messages"),
    form("content_provenance_checks.create", "/content_provenance_checks"),
    post("decisions.create", "/decisions", _USAGE),
    form("images.edit", "/images/edits", _USAGE, streams=True),
    post("images.generate", "/images/generations", _USAGE, streams=True),
    form("images.create_variation", "/images/variations", _USAGE),
    post("responses.compact", "/responses/compact", _USAGE),
    post("responses.input_tokens.count", "/responses/input_tokens"),
    get("responses.retrieve", "/responses/{response_id}", streams=True),
    delete("responses.delete", "/responses/{response_id}"),
    act("responses.cancel", "/responses/{response_id}/cancel"),
    get("responses.input_items.list", "/responses/{response_id}/input_items"),
)

TABLE: tuple[Endpoint, ...] = (
    *INFERENCE,
    *FILES,
    *BATCHES,
    *VECTOR_STORES,
    *ASSISTANTS,
    *CONVERSATIONS,
    *CONTAINERS,
    *FINE_TUNING,
    *EVALS,
    *SKILLS,
    *VIDEOS,
    *VOICES,
    *CHATKIT,
    *REALTIME,
    *AGENTS,
    *ORGANIZATION,
)

GROUPS: frozenset[str] = frozenset(row.group for row in TABLE)
