"""A list without other people's items: every byte that stays is the upstream's own."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.listing import backwards, read, turned

FILES = b"""{
  "object": "list",
  "data": [
    {"id": "file-1", "bytes": 1.50, "name": "\\u00e9 ] , ["},
    {"id": "file-2", "data": [{"id": "file-9"}]},

    {"id": "file-3"}
  ],
  "first_id": "file-1",
  "last_id": "file-3",
  "has_more": false
}
"""


def cut(body: bytes, *mine: str) -> bytes:
    page = read(body)
    assert page is not None
    return page.of(set(mine), str.upper)


def test_the_others_are_cut_out_and_nothing_else_changes() -> None:
    assert cut(FILES, "file-1", "file-2", "file-3") is FILES
    assert (
        cut(FILES, "file-2")
        == b"""{
  "object": "list",
  "data": [
    {"id": "file-2", "data": [{"id": "file-9"}]}
  ],
  "first_id": "file-2",
  "last_id": "file-2",
  "has_more": false
}
"""
    )
    left = json.loads(cut(FILES, "file-1", "file-3"))
    assert ([each["id"] for each in left["data"]], left["last_id"]) == (["file-1", "file-3"], "file-3")


def test_a_page_of_which_nothing_is_left_ends_or_says_where_to_go_on() -> None:
    over = json.loads(cut(FILES))
    assert (over["data"], over["first_id"], over["last_id"]) == ([], None, None)
    page = read(FILES.replace(b"false", b"true"))
    assert page is not None
    on = json.loads(page.of(set(), str.upper))
    assert (on["data"], on["first_id"], on["last_id"], on["has_more"]) == ([], "FILE-1", "FILE-3", True)
    assert (page.more(), page.more(backwards=True)) == ("file-3", "file-1")
    last = read(FILES)
    assert last is not None
    assert last.more() is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data": {}}', b'{"data": null}', b'{"data": [], "data": [1]}', b"\xff"]
)
def test_what_is_no_list_is_none(body: bytes) -> None:
    assert read(body) is None


@pytest.mark.parametrize("items", ['[{"name": "x"}]', '[{"id": 7}]', '[{"id": null}]', '[["id"]]', '["id"]'])
def test_an_item_without_an_id_is_nobodys(items: str) -> None:
    assert json.loads(cut(f'{{"data": {items}}}'.encode(), "id", "7"))["data"] == []


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
ITEM = st.fixed_dictionaries({"id": st.integers(0, 9).map(str)}, optional={"x": ANY, "data": ANY})


@given(st.lists(ITEM, max_size=8), st.sets(st.integers(0, 9).map(str)), st.sampled_from([None, 0, 3]), ANY)
def test_what_is_left_is_what_was_there_in_its_order(
    items: list[dict[str, Any]], mine: set[str], indent: int | None, beside: Any
) -> None:
    whole = {"object": beside, "data": items, "has_more": False, "first_id": "a", "z": [1]}
    left = json.loads(cut(json.dumps(whole, indent=indent).encode(), *mine))
    kept = [item for item in items if item["id"] in mine]
    assert left["data"] == kept
    assert (left["object"], left["z"], left["has_more"]) == (beside, [1], False)
    if len(kept) < len(items):
        assert left["first_id"] == (kept[0]["id"] if kept else None)


@pytest.mark.parametrize(
    ("query", "back", "next_one"),
    [
        ("", False, "after=file-1"),
        ("limit=2&after=file-0&order=asc", False, "limit=2&order=asc&after=file-1"),
        ("limit=2&before=file-9", True, "limit=2&before=file-1"),
        ("include%5B%5D=a&include[]=b&%61fter=x", False, "include%5B%5D=a&include[]=b&after=file-1"),
        ("after=a&before=b", False, "before=b&after=file-1"),
    ],
)
def test_the_next_page_is_asked_for_as_this_one_was(query: str, back: bool, next_one: str) -> None:
    assert backwards(query) is back
    assert turned(query, "file-1", backwards=back) == next_one


def test_no_id_adds_to_a_query() -> None:
    assert turned("limit=1", "a&limit=9#é") == "limit=1&after=a%26limit%3D9%23%C3%A9"
