"""The page of all operations is the table that the gateway looks them up in."""

import re

from docs.generate_endpoints import PAGE, page
from gateway.policy.endpoints import GROUPS, TABLE


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make docs"


def test_every_operation_and_every_group_has_its_place() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `([\w.]+)` \|", text, re.M)) == sorted(row.name for row in TABLE)
    assert set(re.findall(r"^## `(\w+)`$", text, re.M)) == GROUPS
