"""OpenAI's own description of its API, which the project does not contain.

It is read from OPENAI_SPEC, or from where it lies beside the project.
"""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

_BESIDE = Path(__file__).parent.parent.parent / "shared" / "openai-api" / "openapi.yml"
_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Operation:
    """`path` is the pattern, without the query that some have; `types` are those of its body."""

    id: str
    method: str
    path: str
    query: str
    types: tuple[str, ...]
    answers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def path_of_spec() -> Path:
    return Path(os.environ.get("OPENAI_SPEC") or _BESIDE)


needs_spec = pytest.mark.skipif(
    not path_of_spec().exists(),
    reason="no description of OpenAI's API: neither OPENAI_SPEC nor ../shared/openai-api/openapi.yml",
)


@functools.cache
def load() -> Any:
    """The whole document. Takes a second with the C loader, and half a minute without."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path_of_spec().read_bytes(), Loader=loader)


def operations() -> list[Operation]:
    """All of them; none where there is no description."""
    return list(_operations()) if path_of_spec().exists() else []


def _operations() -> Iterator[Operation]:
    for path, item in load()["paths"].items():
        pattern, _, query = path.partition("?")
        for method in _METHODS:
            if method in item:
                yield _operation(method, pattern, query, item[method])


def _operation(method: str, path: str, query: str, item: Any) -> Operation:
    successes = [answer for status, answer in item["responses"].items() if status.startswith("2")]
    return Operation(
        id=item["operationId"],
        method=method.upper(),
        path=path,
        query=query,
        types=tuple(item.get("requestBody", {}).get("content", {})),
        answers=tuple(kind for answer in successes for kind in answer.get("content", {})),
    )
