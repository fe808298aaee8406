"""A flame graph as plain SVG, without a script or a link: width is time, the callers are below.

What a frame is, and its share, is its tooltip. Colours tell whose code it is.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

_WIDTH, _ROW, _MARGIN, _HEAD = 1200, 15, 8, 40
_LEAST = 0.0015  # of all samples: whatever is narrower is not drawn
_CHARACTER = 6.2  # pixels
_COLOURS = {"gateway": "#f2a65a", "aiohttp": "#7fb2d9", "other": "#d8d8d8"}
_FRAME = re.compile(r"(?P<function>.*) \((?P<path>[^()]+?)(?::\d+)?\)")


@dataclass(slots=True)
class Frame:
    """A function as called from where it stands; `samples` with what it called in turn."""

    name: str
    samples: int = 0
    callees: dict[str, "Frame"] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        return 1 + max((callee.depth for callee in self.callees.values()), default=0)


def read(lines: Iterable[str]) -> Frame:
    """Of collapsed stacks, as profilers write them: `outer;inner 12`."""
    root = Frame("all")
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        if not stack or not count.isdigit():
            continue
        root.samples += int(count)
        frame = root
        for each in stack.split(";"):
            name = short(each)
            frame = frame.callees.setdefault(name, Frame(name))
            frame.samples += int(count)
    return root


def short(name: str) -> str:
    """`function (package/module.py)`: no line number, and no path of the machine it ran on."""
    found = _FRAME.fullmatch(name)
    if found is None:
        return name
    path = re.sub(r".*(?:site-packages|python3\.\d+)/", "", found["path"])
    if path.startswith("/"):
        path = path[path.find("/gateway/") + 1 :] if "/gateway/" in path else path.rsplit("/", 1)[1]
    return f"{found['function']} ({path})"


def draw(root: Frame, title: str) -> str:
    height = _HEAD + root.depth * _ROW + _MARGIN
    body = "\n".join(_drawn(root, root.samples, _MARGIN, height - _MARGIN - _ROW))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="monospace" font-size="10">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="{_MARGIN}" y="18" font-size="14">{escape(title)}</text>\n'
        f'<text x="{_MARGIN}" y="33">{root.samples} samples; orange: the gateway, blue: aiohttp, grey: others'
        f"</text>\n{body}\n</svg>\n"
    )


def _drawn(frame: Frame, total: int, x: float, y: float) -> Iterator[str]:
    share = frame.samples / max(1, total)
    if share < _LEAST:
        return
    width = share * (_WIDTH - 2 * _MARGIN)
    label = frame.name[: max(0, int((width - 4) / _CHARACTER))]
    shown = f'<text x="{x + 2:.1f}" y="{y + 11:.0f}">{escape(label)}</text>' if len(label) > 2 else ""
    yield (
        f'<g><title>{escape(frame.name)}: {share:.1%}</title><rect x="{x:.1f}" y="{y:.0f}" '
        f'width="{max(0.3, width - 0.4):.1f}" height="{_ROW - 1}" fill="{_colour(frame.name)}"/>{shown}</g>'
    )
    for name in sorted(frame.callees):
        callee = frame.callees[name]
        yield from _drawn(callee, total, x, y - _ROW)
        x += callee.samples / max(1, total) * (_WIDTH - 2 * _MARGIN)


def _colour(name: str) -> str:
    return next((colour for room, colour in _COLOURS.items() if f"({room}/" in name), _COLOURS["other"])
