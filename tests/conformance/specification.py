"""What OpenAI's description says of each operation: all that is needed to ask for it."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.spec import load, path_of_spec

Schema = Mapping[str, Any]

_METHODS: Final = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `path` as the description writes it: two in seven say `?beta=true` behind it."""

    name: str
    method: str
    path: str
    parameters: tuple[Schema, ...] = field(repr=False)
    bodies: Mapping[str, Schema] = field(repr=False)  # by media type: its schema and encoding
    needs_body: bool = False
    streams: bool = False  # its answer may be a text/event-stream

    def __str__(self) -> str:
        return self.name


@functools.cache
def operations() -> tuple[Operation, ...]:
    """All operations, in the description's order. Empty where there is no description."""
    return tuple(_operations(load()["paths"])) if path_of_spec().exists() else ()


def _operations(paths: Mapping[str, Any]) -> Iterator[Operation]:
    for path, item in paths.items():
        for method in _METHODS:
            if method in item:
                yield _operation(method, path, item[method], item.get("parameters", []))


def _operation(method: str, path: str, said: Mapping[str, Any], shared: list[Schema]) -> Operation:
    body = said.get("requestBody", {})
    answers = said["responses"].values()
    return Operation(
        name=said["operationId"],
        method=method.upper(),
        path=path,
        parameters=(*shared, *said.get("parameters", [])),
        bodies=body.get("content", {}),
        needs_body=body.get("required", False),
        streams=any("text/event-stream" in answer.get("content", {}) for answer in answers),
    )


def resolve(schema: Schema) -> Schema:
    """The schema itself, where this one only says where it is."""
    while "$ref" in schema:
        target: Any = load()
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        schema = target
    return schema
