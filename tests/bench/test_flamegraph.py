"""Flame graphs: widths are shares, and nothing in them tells of the machine."""

import re
import xml.etree.ElementTree as ET

import pytest

from bench import flamegraph

STACKS = [
    "main (gateway/app.py);serve (gateway/pipeline.py:12) 30",
    "main (gateway/app.py);serve (gateway/pipeline.py:99) 30",
    "main (gateway/app.py);read (/home/somebody/lib/python3.11/site-packages/aiohttp/web.py) 40",
    "not a stack",
    "",
]


def test_lines_of_one_function_are_one_frame() -> None:
    root = flamegraph.read(STACKS)
    assert root.samples == 100
    main = root.callees["main (gateway/app.py)"]
    assert {name: frame.samples for name, frame in main.callees.items()} == {
        "serve (gateway/pipeline.py)": 60,
        "read (aiohttp/web.py)": 40,
    }


def test_width_is_the_share_of_the_time() -> None:
    drawn = flamegraph.draw(flamegraph.read(STACKS), "A <title>")
    widths = {title.partition(":")[0]: float(width) for title, width in _frames(drawn)}
    assert widths["serve (gateway/pipeline.py)"] / widths["all"] == pytest.approx(0.6, abs=0.01)
    titles = [title for title, _ in _frames(drawn)]
    assert "read (aiohttp/web.py): 40.0%" in titles


def test_a_graph_is_xml_without_scripts_links_or_paths_of_this_machine() -> None:
    drawn = flamegraph.draw(flamegraph.read(STACKS), "A <title>")
    ET.fromstring(drawn)
    assert "<script" not in drawn
    assert "href" not in drawn
    assert "/home" not in drawn
    assert drawn.count("http") == drawn.count("aiohttp") + 1  # the namespace


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("f (gateway/app.py:10)", "f (gateway/app.py)"),
        ("f (/srv/tree/gateway/app.py)", "f (gateway/app.py)"),
        ("f (/usr/lib/python3.12/asyncio/runners.py)", "f (asyncio/runners.py)"),
        ("f (/opt/thing.py)", "f (thing.py)"),
        ("<lambda> (gateway/a.py)", "<lambda> (gateway/a.py)"),
        ("[unknown]", "[unknown]"),
    ],
)
def test_names_lose_what_leads_to_the_package(name: str, short: str) -> None:
    assert flamegraph.short(name) == short


def test_nothing_recorded_is_a_graph_of_nothing() -> None:
    ET.fromstring(flamegraph.draw(flamegraph.read([]), "Nothing"))


def _frames(drawn: str) -> list[tuple[str, str]]:
    return re.findall(r'<title>([^<]*)</title><rect [^>]*width="([\d.]+)"', drawn)
