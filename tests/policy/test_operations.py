"""The table beside OpenAI's own description of its API, and beside what its Python library asks for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from gateway.policy.operation import Body, Charge, Endpoint
from gateway.policy.operations import GROUPS, TABLE
from gateway.policy.ownership import KINDS, OWNED
from tests.spec import Operation, needs_spec, operations

LIBRARY = Path(openai.__file__).parent
CALLS = {"_get": "GET", "_post": "POST", "_put": "PUT", "_patch": "PATCH", "_delete": "DELETE"}
OLD = {"edits"}

BY_REQUEST = {(row.method, row.path): row for row in TABLE if not row.socket}
BY_NAME = {row.name: row for row in TABLE}


def shape(path: str) -> str:
    """A pattern whatever its places are called."""
    return re.sub(r"\{\w+\}", "{}", path.partition("?")[0])


def asked_for(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Methods and shapes of what a module of the library requests."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or not call.args:
            continue
        method = CALLS.get(call.func.attr)
        if call.func.attr == "_get_api_list":
            given = [word.value for word in call.keywords if word.arg == "method"]
            method = str(ast.literal_eval(given[0])).upper() if given else "GET"
        path = call.args[0]
        if isinstance(path, ast.Call) and path.args:  # path_template("/files/{file_id}", file_id=…)
            path = path.args[0]
        if method and isinstance(path, ast.Constant) and str(path.value).startswith("/"):
            yield method, shape(str(path.value))


def requested() -> set[tuple[str, str]]:
    modules = [*(LIBRARY / "resources").rglob("*.py"), *(LIBRARY / "lib").rglob("*.py")]
    return {each for module in modules for each in asked_for(ast.parse(module.read_text()))}


def connected() -> set[str]:
    """Shapes of the WebSockets that the library opens: what it appends to the path of its base address."""
    text = "".join(path.read_text() for path in (LIBRARY / "resources").rglob("*.py"))
    plain = re.findall(r'rstrip\(b"/"\) \+ b"(/[\w/]+)"', text)
    filled = re.findall(r'rstrip\(b"/"\)\s*\+ path_template\("([^"]+)"', text)
    return {shape(path) for path in [*plain, *filled]}


def test_names_and_operations_are_unique() -> None:
    assert len(BY_NAME) == len({(row.method, row.path, row.socket) for row in TABLE}) == len(TABLE)


@needs_spec
def test_the_description_has_as_many_operations_as_were_counted() -> None:
    assert len(operations()) >= 288


@needs_spec
@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.id)
def test_every_operation_of_the_description_is_a_row(operation: Operation) -> None:
    row = BY_REQUEST[operation.method, operation.path]
    json = set(operation.types) == {"application/json"}
    expected = Body.NONE if not operation.types else Body.JSON if json else Body.FORM
    assert row.body is expected
    if "text/event-stream" in operation.answers:
        assert row.streams


@needs_spec
def test_nothing_else_is_a_row_but_what_the_library_asks_for() -> None:
    known = {(each.method, each.path) for each in operations()}
    shapes = requested()
    invented = {
        row.name
        for request, row in BY_REQUEST.items()
        if request not in known and (row.method, shape(row.path)) not in shapes
    }
    assert invented == OLD


def test_every_request_of_the_library_is_a_row() -> None:
    rows = {(row.method, shape(row.path)) for row in TABLE}
    assert len(requested()) > 300
    assert requested() <= rows


def test_every_websocket_of_the_library_is_a_row() -> None:
    assert connected() == {shape(row.path) for row in TABLE if row.socket}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_row_agrees_with_itself(row: Endpoint) -> None:
    places = re.findall(r"\{(\w+)\}", row.path)
    assert re.fullmatch(r"(/(\w+|\{\w+\}))+", row.path)
    assert len(set(places)) == len(places)
    assert row.group in GROUPS
    assert not (row.creates and row.lists)
    assert {row.creates, row.lists} - {""} <= OWNED
    if row.method in ("GET", "DELETE"):
        assert row.body is Body.NONE
        assert row.socket or row.charge is Charge.FREE
    if row.lists:
        assert (row.method, places) == ("GET", [])
    if row.judged:
        assert row.group == "inference"
    assert not row.cacheable or row.judged


def test_what_lists_owned_objects_shows_those_that_can_be_asked_for() -> None:
    listed = {row.lists for row in TABLE if row.lists}
    assert listed <= set(KINDS.values())
    for kind in listed:
        assert any(KINDS.get(place) == kind for row in TABLE for place in re.findall(r"\{(\w+)\}", row.path))


def test_the_seven_that_metrics_have_always_known() -> None:
    cached = {"chat.completions", "completions", "embeddings", "responses", "moderations"}
    assert {row.name for row in TABLE if row.cacheable} == cached
    assert {row.name for row in TABLE if row.judged} == cached | {"models.list", "models.retrieve"}


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("inference", "chat.completions.list responses.delete audio.speech.create images.edit edits"),
        ("voices", "audio.voices.create audio.voice_consents.list"),
        ("files", "files.create files.content uploads.parts.create"),
        ("fine_tuning", "fine_tuning.jobs.create models.delete"),
        ("assistants", "assistants.create threads.runs.create"),
        ("organization", "organization.projects.create organization.projects.roles.list webhooks.create"),
        ("realtime", "realtime realtime.calls.create realtime.client_secrets.create live.connect"),
    ],
)
def test_groups(group: str, names: str) -> None:
    assert {BY_NAME[name].group for name in names.split()} == {group}


def test_what_spends_money_that_no_answer_states() -> None:
    names = (
        "batches.create fine_tuning.jobs.create fine_tuning.jobs.resume fine_tuning.alpha.graders.run "
        "evals.runs.create videos.create videos.edit videos.extend videos.remix threads.runs.create "
        "threads.create_and_run threads.runs.submit_tool_outputs containers.create vector_stores.search "
        "chatkit.sessions.create realtime.calls.create realtime.client_secrets.create "
        "realtime.sessions.create agents.sessions.create"
    )
    assert {BY_NAME[name].charge for name in names.split()} == {Charge.FEE}


def test_what_is_made_and_by_whom() -> None:
    makers = {row.name: row.creates for row in TABLE if row.creates}
    assert makers["uploads.complete"] == "file"
    assert makers["threads.create_and_run"] == "thread"
    assert makers["responses.connect"] == makers["responses"] == "response"
