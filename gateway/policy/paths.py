"""The patterns of the table as a tree of segments, so that a look-up does not grow with the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from gateway.policy.operation import Endpoint

Methods = Mapping[str, Endpoint]


@dataclass(slots=True)
class _Node:
    """`name` is that of the place which leads here. `rest`: what a model's name with slashes ends at."""

    name: str = ""
    fixed: "dict[str, _Node]" = field(default_factory=dict)
    place: "_Node | None" = None
    rest: "_Node | None" = None
    methods: Methods | None = None
    groups: set[str] = field(default_factory=set)


class Tree:
    """Fixed segments win over places. A place holds one segment, a model at the end (`org/model`) more."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, pattern: str, methods: Methods) -> None:
        """Places in braces have one name each, whatever follows them. Raises ValueError otherwise."""
        node = self._root
        segments = pattern.strip("/").split("/")
        for n, segment in enumerate(segments):
            node = _step(node, segment, last=n == len(segments) - 1)
            node.groups |= {row.group for row in methods.values()}
        node.methods = methods

    def find(self, segments: Sequence[str]) -> tuple[Methods | None, dict[str, str]]:
        """What is at a path, and what stands in its places, as it came."""
        args: dict[str, str] = {}
        node = _walk(self._root, segments, 0, args)
        return (None, {}) if node is None else (node.methods, args)

    def follow(self, segments: Sequence[str]) -> tuple[str, dict[str, str]]:
        """A pattern for a path that is not there: places as far as the tree goes, then its own words."""
        node: _Node | None = self._root
        pattern, args = "", dict[str, str]()
        for segment in segments:
            fixed = node.fixed.get(segment) if node else None
            node = fixed or (node.place if node else None)
            if node is None or fixed is not None:
                pattern += "/" + quote(segment, safe=":@")
            else:
                pattern += f"/{{{node.name}}}"
                args[node.name] = segment
        return pattern, args

    def groups(self, first: str) -> set[str]:
        """Those of all that is below a first segment."""
        node = self._root.fixed.get(first)
        return set() if node is None else set(node.groups)


def _step(node: _Node, segment: str, last: bool) -> _Node:
    if not segment.startswith("{"):
        return node.fixed.setdefault(segment, _Node())
    name = segment.strip("{}")
    if name == "model" and last:
        node.rest = node.rest or _Node(name)
        return node.rest
    node.place = node.place or _Node(name)
    if node.place.name != name:
        raise ValueError(f"{segment} and {{{node.place.name}}} stand at the same place")
    return node.place


def _walk(node: _Node, segments: Sequence[str], at: int, args: dict[str, str]) -> _Node | None:
    if at == len(segments):
        return node if node.methods is not None else None
    following = node.fixed.get(segments[at])
    found = following and _walk(following, segments, at + 1, args)
    if found:
        return found
    if node.place is not None and (found := _walk(node.place, segments, at + 1, args)):
        args[node.place.name] = segments[at]
        return found
    if node.rest is not None:
        args[node.rest.name] = "/".join(segments[at:])
    return node.rest
