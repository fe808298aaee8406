"""Ids in bodies: found wherever they stand, and never in what somebody merely says."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Forbidden, InvalidRequest
from gateway.policy.inside import OPAQUE
from gateway.policy.ownership import Named
from gateway.policy.references import HOLDERS, MEMBERS, REFERRING_FIELDS, in_body, in_form


def named(body: Any) -> list[tuple[str, str]]:
    return [(each.kind, each.id) for each in in_body(json.dumps(body).encode())]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"previous_response_id": "resp_1", "input": "hi"}, [("response", "resp_1")]),
        ({"previous_response_id": None, "conversation": None}, []),
        ({"conversation": "conv_1"}, [("conversation", "conv_1")]),
        ({"conversation": {"id": "conv_1"}}, [("conversation", "conv_1")]),
        ({"response": {"conversation": "none"}}, []),
        ({"input": [{"content": [{"type": "input_file", "file_id": "file-1"}]}]}, [("file", "file-1")]),
        ({"input": [{"type": "computer_call_output", "output": {"file_id": "f"}}]}, [("file", "f")]),
        (
            {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1", "vs_2"]}]},
            [("vector_store", "vs_1"), ("vector_store", "vs_2")],
        ),
        ({"tools": [{"container": "cntr_1"}]}, [("container", "cntr_1")]),
        ({"tools": [{"container": {"type": "auto", "file_ids": ["f1", "f1"]}}]}, [("file", "f1")]),
        ({"tools": [{"environment": {"container_id": "cntr_1"}}]}, [("container", "cntr_1")]),
        ({"skills": [{"type": "skill_reference", "skill_id": "skill_1"}]}, [("skill", "skill_1")]),
        ({"skills": [{"type": "skill_reference", "skill_id": "openai-spreadsheets"}]}, []),
        ({"messages": [{"content": [{"file": {"file_id": "file-1"}}]}]}, [("file", "file-1")]),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, [("audio", "audio_1")]),
        ({"audio": {"voice": "alloy", "format": "mp3"}}, []),
        ({"voice": "alloy"}, []),
        ({"voice": {"id": "voice_1"}}, [("voice", "voice_1")]),
        ({"video": {"id": "video_1"}}, [("video", "video_1")]),
        ({"input_file_id": "file-1"}, [("file", "file-1")]),
        ({"training_file": "a", "validation_file": "b"}, [("file", "a"), ("file", "b")]),
        ({"assistant_id": "asst_1", "thread": {}}, [("assistant", "asst_1")]),
        ({"attachments": [{"file_id": "file-1", "tools": []}]}, [("file", "file-1")]),
        ({"tool_resources": {"code_interpreter": {"file_ids": ["f"]}}}, [("file", "f")]),
        ({"data_source": {"source": {"type": "file_id", "id": "file-1"}}}, [("file", "file-1")]),
        ({"data_source": {"source": {"type": "file_content", "content": []}}}, []),
        ({"prompt": {"id": "pmpt_1", "variables": {"doc": {"file_id": "f"}}}}, [("file", "f")]),
        ({"prompt": {"id": "pmpt_1", "variables": {"file_id": "a word", "container": "ship"}}}, []),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, []),
    ],
)
def test_what_bodies_name(body: Any, found: list[tuple[str, str]]) -> None:
    assert named(body) == found


def test_the_member_is_told_for_the_error() -> None:
    assert in_body(b'{"previous_response_id": "r"}') == [Named("response", "r", "previous_response_id")]
    assert in_body(b'{"conversation": {"id": "c"}}') == [Named("conversation", "c", "conversation")]


@pytest.mark.parametrize(
    "body",
    [
        {"input": 'Look at {"file_id": "file-1"} and resp_1'},
        {"messages": [{"role": "user", "content": '"previous_response_id": "resp_1"'}]},
        {"metadata": {"file_id": "file-1", "conversation": "conv_1"}},
        {"tools": [{"parameters": {"properties": {"file_id": {"type": "string", "default": "file-1"}}}}]},
        {"text": {"format": {"schema": {"properties": {"container": {"const": "x"}}}}}},
        {"attributes": {"file_id": "file-1"}},
        {"tools": [{"filters": {"type": "eq", "key": "file_id", "value": "file-1"}}]},
        {"input": [{"type": "function_call", "arguments": '{"file_id": "file-1"}'}]},
        {"input": [{"content": [{"annotations": [{"file_id": "cfile_1", "container_id": "cntr_1"}]}]}]},
        {
            "data_source": {
                "source": {"content": [{"item": {"file_id": "x"}, "sample": {"audio": {"id": 1}}}]}
            }
        },
        {"file_id": 7, "file_ids": [1, None], "conversation": True},
    ],
)
def test_what_somebody_says_is_no_reference(body: Any) -> None:
    assert named(body) == []


@given(st.text(), st.sampled_from([*MEMBERS, *HOLDERS]))
def test_no_text_is_ever_a_reference(text: str, member: str) -> None:
    said = f'{text} "{member}": "file-1" {text}'
    for ascii_only in (True, False):
        body = json.dumps({"messages": [{"role": "user", "content": said}]}, ensure_ascii=ascii_only)
        assert in_body(body.encode(errors="replace")) == []


@given(st.data(), st.sampled_from(sorted(MEMBERS)))
def test_a_name_cannot_hide_behind_its_spelling_or_a_second_one(data: st.DataObject, member: str) -> None:
    spelt = "".join(f"\\u{ord(sign):04X}" if data.draw(st.booleans()) else sign for sign in member)
    space = data.draw(st.text(alphabet=" \t\r\n", max_size=3))
    body = f'{{"a": [{{"{spelt}"{space}:{space}"theirs", "{member}": "mine"}}], "n": 1{"0" * 5000}}}'
    assert {each.id for each in in_body(body.encode())} == {"theirs", "mine"}


@pytest.mark.parametrize("kind", ["stored_completions", "responses", "logs"])
def test_an_eval_of_what_everybody_has_stored_is_refused(kind: str) -> None:
    body = {"data_source": {"type": "completions", "source": {"type": kind, "limit": 10}}}
    with pytest.raises(Forbidden) as refused:
        in_body(json.dumps(body).encode())
    assert refused.value.code == "endpoint_not_allowed"


def test_a_body_that_nests_too_deep_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        in_body(b'{"file_id":' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    with pytest.raises(InvalidRequest):
        in_body(b'{"file_id": ')


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"model": "sora-2", "prompt": '{"file_id": "file-1"}'}, []),
        ({"input_reference[file_id]": "file-1"}, [("file", "file-1")]),
        ({"input_reference": '{"file_id": "file-1"}'}, [("file", "file-1")]),
        ({"video[id]": "video_1"}, [("video", "video_1")]),
        ({"video": '{"id": "video_1"}'}, [("video", "video_1")]),
        ({"file_id": "file-1", "id": "x"}, [("file", "file-1")]),
        ({"file_ids[]": ["f1", "f2"]}, [("file", "f1"), ("file", "f2")]),
        ({"consent": "cons_1"}, [("consent", "cons_1")]),
        ({"session": '{"audio": {"output": {"voice": {"id": "voice_1"}}}}'}, [("voice", "voice_1")]),
    ],
)
def test_what_forms_name(fields: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert [(each.kind, each.id) for each in in_form(fields)] == found


def test_each_field_that_a_form_is_read_for_names_something() -> None:
    for names in REFERRING_FIELDS.values():
        some = {name: '{"file_id":"some-id"}' if name == "session" else "some-id" for name in names}
        assert len(in_form(some)) == len(names)


# ---- against OpenAI's description of its API -----------------------------------------------------------

# Names that look like ids of something, and name nothing that has an owner here.
_NOT_OWNED = {
    "id": "its holder says what it is: an item of a response, a tool's call, a workflow",
    "call_id": "a tool's call, within its response",
    "caller_id": "a tool's call, within its response",
    "tool_call_id": "a tool's call, within its message or run",
    "approval_request_id": "an item of a response",
    "part_ids": "parts of an upload, which only their own upload takes",
    "connector_id": "one of OpenAI's connectors",
    "tunnel_id": "a tunnel of the account's",
    "group_id": "for tracing: the client's own word",
    "project_ids": "projects of the account",
    "file": "holds a file_id, or is the file itself",
    "files": "hold file_ids, or are the files themselves",
    "file_data": "the file itself",
    "file_url": "where the file is",
    "file_search": "a tool",
    "file_upload": "a setting",
    "filename": "a name",
    "image_file": "holds a file_id",
    "input_reference": "holds a file_id, or is the file itself",
    "reference": "what an eval compares with",
    "item_reference": "an eval's words for its own data",
    "known_speaker_references": "sounds",
    "vector_stores": "made at once, of file_ids",
    "skills": "hold skill_ids",
    "source": "looked into: an eval's file",
    "max_file_size": "a number",
    "max_files": "a number",
}
_LIKE_AN_ID = re.compile(r"(^|_)ids?$|file|^source$|container|conversation|^video$|^voice$|consent|skill"
                         r"|^audio$|vector|reference$|assistant|thread$")  # fmt: skip
_NO_OBJECTS = {"safety_identifier", "file_search", "automatic_thread_titling", "thread", "skill_reference"}


def _specification() -> Any:
    path = Path(os.environ.get("OPENAI_SPEC") or Path(__file__).parents[3] / "shared/openai-api/openapi.yml")
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("OpenAI's description of its API is missing: set OPENAI_SPEC")
        pytest.skip("OpenAI's description of its API is not here: set OPENAI_SPEC")
    yaml = pytest.importorskip("yaml")
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _names(schemas: Any, schema: Any, seen: frozenset[str], found: set[str]) -> None:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            _names(schemas, schemas[name], seen | {name}, found)
        return
    for choice in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(choice, []):
            _names(schemas, inner, seen, found)
    for name, inner in (schema.get("properties") or {}).items():
        found.add(name)
        if name not in OPAQUE:
            _names(schemas, inner, seen, found)
    for within in ("items", "additionalProperties"):
        if isinstance(schema.get(within), dict):
            _names(schemas, schema[within], seen, found)


def test_every_name_in_the_specification_that_looks_like_an_id_is_decided_on() -> None:
    specification = _specification()
    found: set[str] = set()
    for path, methods in specification["paths"].items():
        if path.startswith(("/organization", "/projects")):
            continue  # the account's own: no client's
        for operation in methods.values():
            contents = (
                operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
            )
            for media in contents.values():
                _names(specification["components"]["schemas"], media["schema"], frozenset(), found)
    doubtful = {name for name in found if _LIKE_AN_ID.search(name)} - _NO_OBJECTS - OPAQUE
    assert doubtful - MEMBERS.keys() - HOLDERS.keys() - _NOT_OWNED.keys() == set()
    assert found >= {"file_id", "vector_store_ids", "previous_response_id", "conversation", "container"}
