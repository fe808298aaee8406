"""The measured parts of the page on performance are written between their marks; nothing else is touched."""

import datetime
from pathlib import Path

import pytest

from bench import document

BEGIN, END = document.marks("bench")


@pytest.mark.parametrize("target", ["bench", "bench-peers"])
def test_the_page_has_the_marks_of_each_target(target: str) -> None:
    page = document.PAGE.read_text(encoding="utf-8")
    changed = document.with_measured(page, target, "Nothing.")
    assert changed.count("Nothing.") == page.count("Nothing.") + 1
    others = [mark for name in ("bench", "bench-peers") for mark in document.marks(name)]
    assert all(changed.count(mark) == 1 for mark in others)


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    document.write("| a | table |", "bench", "1.2.3", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n\nVersion 1.2.3, measured on ")
    assert text.endswith(f"\n\n| a | table |\n\n{END}\nafter\n")
    assert "old" not in text
    document.write("| a | table |", "bench", "1.2.3", page)
    assert page.read_text(encoding="utf-8") == text


def test_what_is_written_says_when_and_of_what_it_is() -> None:
    text = document.dated("The table.", "bench", "1.2.3", datetime.date(2026, 11, 22))
    assert text == "Version 1.2.3, measured on 2026-11-22 by `make bench`.\n\nThe table."


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_page_without_its_marks_is_left_alone(page: str) -> None:
    with pytest.raises(ValueError, match="lacks"):
        document.with_measured(page, "bench", "text")
