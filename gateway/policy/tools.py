"""Tools that the upstream runs itself and bills by the call: those a request allows, those an answer used.

The names are those of OpenAI's description of its API: `Tool` and `OutputItem`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from gateway.policy.jsonbytes import parse

# What the client runs itself, and what costs nothing beyond its tokens.
_FREE: Final = frozenset(
    {"", "function", "custom", "namespace", "tool_search", "mcp", "local_shell", "apply_patch"}
    | {"computer", "computer_use", "computer_use_preview"}
)
# What only ever runs at the client's; all others look at the world.
_OWN: Final = ("function", "custom", "local_shell", "apply_patch")
_SESSION: Final = "code_interpreter"
_SMALLEST: Final = "1g"  # the memory of a container that asks for none
_MAX_CALLS: Final = 10_000  # kept of one answer; OpenAI ends one long before


class _Tool(msgspec.Struct):
    type: str = ""
    container: Any = None
    environment: Any = None


class _Holder(msgspec.Struct):
    tools: list[_Tool] | None = None


class _Item(msgspec.Struct):
    type: Any = None
    id: Any = None
    action: Any = None
    container_id: Any = None
    environment: Any = None


_TOOLS = msgspec.json.Decoder(list[_Tool])
_HOLDER = msgspec.json.Decoder(_Holder)
_ITEM = msgspec.json.Decoder(_Item)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def only_own(tools: Any) -> bool:
    """Whether these decoded `tools` of a request are none but those that the client runs itself."""
    if tools is None:
        return True
    return isinstance(tools, list) and all(
        isinstance(tool, dict) and tool.get("type", "function") in _OWN for tool in tools
    )


def billed(tools: bytes) -> frozenset[str]:
    """The billed ones in the `tools` of a request, each by the name of its fee.

    A tool that nobody here has heard of keeps its own name: it is not taken for a free one. Raises
    msgspec.MsgspecError for what is no array of tools.
    """
    return _names(_TOOLS.decode(tools))


def billed_in_items(given: bytes) -> frozenset[str]:
    """The same for the `input` of a response, whose items may bring tools (`additional_tools`).

    What is wrong in there is the upstream's to refuse.
    """
    # A look at the bytes saves decoding a conversation twice. What it looks for could be spelled in escapes.
    if not given.startswith(b"[") or not (b'"tools"' in given or b"\\u00" in given):
        return frozenset()
    holders = [parse(_HOLDER, item) for item in _ITEMS.decode(given)]
    return _names(tool for holder in holders if holder is not None for tool in holder.tools or ())


def _names(tools: Iterable[_Tool]) -> frozenset[str]:
    return frozenset(map(_name, tools)) - _FREE


def _name(tool: _Tool) -> str:
    if tool.type.startswith("web_search"):
        return "web_search"  # and its dated versions
    if tool.type == _SESSION:
        return _session(tool.container)
    if tool.type == "shell":
        # The hosted shell runs in the same containers, at the same price; the local one is the client's.
        local = tool.environment is None or _member(tool.environment, "type") == "local"
        return "" if local else _session(tool.environment)
    return tool.type


def _session(container: Any) -> str:
    """A container with more memory has another price, and so another name."""
    memory = _member(container, "memory_limit")
    return _SESSION if memory in (None, _SMALLEST) else f"{_SESSION}_{memory}"


class Calls:
    """The billed calls in the output items of one answer, each counted once, however often it is told of."""

    def __init__(self) -> None:
        self._items: dict[str, _Item] = {}

    def add(self, item: bytes | msgspec.Raw) -> None:
        """The same item's later state takes the place of the one before."""
        read = parse(_ITEM, item)
        if read is None or not str(read.type).endswith("_call") or len(self._items) >= _MAX_CALLS:
            return
        self._items[read.id if isinstance(read.id, str) else f"#{len(self._items)}"] = read

    def counts(self) -> dict[str, int]:
        """By the names of `Usage`'s fields; those that are 0 are left out.

        Whether a container was there before, the answer does not say: each counts as a new session, once.
        """
        items = self._items.values()
        counts = {
            "web_searches": sum(map(_is_search, items)),
            "file_searches": sum(item.type == "file_search_call" for item in items),
            "code_sessions": len(
                {container for item in items if (container := _container(item)) is not None}
            ),
            "image_calls": sum(item.type == "image_generation_call" for item in items),
        }
        return {name: count for name, count in counts.items() if count}


def calls_of(output: bytes | msgspec.Raw) -> dict[str, int]:
    """What the `output` of a whole response counts, as `Calls.counts`."""
    if b"_call" not in bytes(output):
        return {}
    calls = Calls()
    for item in parse(_ITEMS, output) or ():
        calls.add(item)
    return calls.counts()


def _is_search(item: _Item) -> bool:
    """Opening a page and looking into it belong to the search before, which was paid for."""
    return item.type == "web_search_call" and _member(item.action, "type") in (None, "search")


def _container(item: _Item) -> str | None:
    if item.type == "code_interpreter_call":
        return str(item.container_id)
    if item.type == "shell_call":
        container = _member(item.environment, "container_id")
        return None if container is None else str(container)
    return None


def _member(owner: Any, name: str) -> Any:
    return owner.get(name) if isinstance(owner, Mapping) else None
