"""The page of the alerts: its example is what is sent, and its program accepts what is signed."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.policy.alerting import Notice, payload
from gateway.policy.limits import parse_limit
from gateway.policy.records import Window
from gateway.policy.windows import Calendar
from gateway.upstream.webhook import signature

PAGE = (Path(__file__).parent.parent / "docs" / "alerts.md").read_text(encoding="utf-8")
NOW = 1_795_364_407_000  # 2026-11-22 16:20:07 UTC


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def is_genuine() -> Callable[[str, bytes, str], bool]:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    return names["is_genuine"]  # type: ignore[no-any-return]


def test_the_example_is_what_is_sent() -> None:
    notice = Notice(
        parse_limit("$5/day", "team:research"), 80, 4_020_000_000, Calendar("UTC").span(Window.DAY, NOW)
    )
    example, sent = json.loads(block("json")), json.loads(payload(notice, NOW))
    assert list(example) == list(sent)
    assert example | {"id": ""} == sent | {"id": ""}
    assert re.sub(r"[0-9a-f]", "x", example["id"]) == re.sub(r"[0-9a-f]", "x", sent["id"])


def test_every_member_is_explained() -> None:
    (table,) = re.findall(r"\| member \| meaning \|\n(.*?)\n\n", PAGE, re.DOTALL)
    explained = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    assert explained == json.loads(block("json")).keys()


def test_the_program_accepts_what_is_signed_and_nothing_else() -> None:
    genuine, now = is_genuine(), int(time.time())
    assert genuine(signature("secret", now, b"{}"), b"{}", "secret")
    assert not genuine(signature("secret", now, b"{}"), b"{ }", "secret")
    assert not genuine(signature("other", now, b"{}"), b"{}", "secret")
    assert not genuine(signature("secret", now - 3600, b"{}"), b"{}", "secret")
