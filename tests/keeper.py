"""An upstream that keeps what it is given: files, responses, vector stores, batches, threads.

`upstream.plan(Keeper().answer())`. It has one account and knows nobody: whoever has an id gets the object.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.scripted import Answer, Seen, Wire, json, sse

Json = dict[str, Any]

_KINDS = {
    "files": "file-",
    "responses": "resp_",
    "vector_stores": "vs_",
    "batches": "batch_",
    "threads": "thread_",
    "assistants": "asst_",
    "chat/completions": "chatcmpl-",
}


@dataclass
class Keeper:
    objects: dict[str, dict[str, Json]] = field(default_factory=lambda: {kind: {} for kind in _KINDS})
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def answer(self) -> Answer:
        async def send(seen: Seen, wire: Wire) -> None:
            await self._reply(seen).send(seen, wire)

        return Answer(send)

    def make(self, kind: str, **more: Any) -> Json:
        made = {"id": f"{_KINDS[kind]}{next(self.numbers)}", "object": kind} | more
        self.objects[kind][made["id"]] = made
        return made

    def _reply(self, seen: Seen) -> Answer:
        path, _, query = seen.path.removeprefix("/v1/").partition("?")
        kind = next((each for each in _KINDS if path == each or path.startswith(each + "/")), None)
        if kind is None:
            return json(404, {"error": {"message": "Invalid URL", "code": None}})
        kept, name = self.objects[kind], path[len(kind) + 1 :].partition("/")[0]
        if name:
            return self._one(seen, kept, name, whole="/" not in path[len(kind) + 1 :])
        return self._made(seen, kind) if seen.method == "POST" else self._page(list(kept.values()), query)

    def _one(self, seen: Seen, kept: dict[str, Json], name: str, *, whole: bool) -> Answer:
        if name not in kept:
            return json(404, {"error": {"message": "really not there", "code": None}})
        if seen.method == "DELETE":
            if whole:
                del kept[name]
            return json(200, {"id": name, "deleted": True})
        return json(200, kept[name])

    def _made(self, seen: Seen, kind: str) -> Answer:
        if kind == "files":
            return json(200, self.make(kind, bytes=len(seen.body)))
        asked = seen.json()
        if kind == "batches":
            output = self.make("files")["id"]
            return json(200, self.make(kind, output_file_id=output, error_file_id=None))
        if kind not in ("responses", "chat/completions"):
            return json(200, self.make(kind, metadata=asked.get("metadata")))
        usage = {"input_tokens": 1, "output_tokens": 1, "prompt_tokens": 1, "completion_tokens": 1}
        made = self.make(kind, model=asked["model"], output=[], choices=[], status="completed", usage=usage)
        if not asked.get("stream"):
            return json(200, made)
        return sse(
            [
                {"type": "response.created", "response": made},
                {"type": "response.completed", "response": made},
            ],
            end="clean",
        )

    def _page(self, kept: list[Json], query: str) -> Answer:
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        ids = [each["id"] for each in kept]
        start = ids.index(asked["after"]) + 1 if "after" in asked else 0
        some = kept[start : start + int(asked.get("limit", 20))]
        data: Json = {"object": "list", "data": some, "has_more": start + len(some) < len(kept)}
        if some:
            data |= {"first_id": some[0]["id"], "last_id": some[-1]["id"]}
        return json(200, data)
