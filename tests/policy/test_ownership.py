"""Whose an object is, by its place in a path; and what a stranger is told of it."""

import json

import pytest

from gateway.errors import body_of, headers_of
from gateway.policy.endpoints import Endpoint
from gateway.policy.facts import Facts
from gateway.policy.ownership import (
    KINDS,
    OWNED,
    Named,
    ends,
    in_path,
    in_query,
    lifetime,
    missing,
    owner_of,
    stays,
)
from gateway.policy.records import Client

DAY = 86_400_000


def endpoint(method: str, path: str) -> Endpoint:
    return Endpoint("x", method, path, "files")


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/files/{file_id}/content", Named("file", "the file_id")),
        ("/vector_stores/{vector_store_id}/files/{file_id}", Named("vector_store", "the vector_store_id")),
        ("/containers/{container_id}/files/{file_id}/content", Named("container", "the container_id")),
        ("/threads/{thread_id}/runs/{run_id}/steps/{step_id}", Named("thread", "the thread_id")),
        ("/models/{model}", None),
        ("/files", None),
        ("/organization/projects/{project_id}", None),
    ],
)
def test_the_outermost_object_of_a_path_decides(path: str, named: Named | None) -> None:
    args = {name: f"the {name}" for name in (*KINDS, "run_id", "step_id", "model", "project_id")}
    assert in_path(endpoint("GET", path), args) == named


def test_a_session_that_listens_to_a_call_names_it_in_its_query() -> None:
    listen = endpoint("GET", "/realtime")
    assert in_query(listen, "model=m&call_id=rtc_1") == [Named("call", "rtc_1", "call_id")]
    assert in_query(listen, "c%61ll_id=rtc%5f1") == [Named("call", "rtc_1", "call_id")]
    assert in_query(listen, "model=gpt-realtime") == []
    assert in_query(endpoint("GET", "/files"), "call_id=rtc_1") == []


@pytest.mark.parametrize(
    ("method", "path", "over"),
    [
        ("DELETE", "/files/{file_id}", True),
        ("GET", "/files/{file_id}", False),
        ("DELETE", "/vector_stores/{vector_store_id}/files/{file_id}", False),
        ("DELETE", "/threads/{thread_id}/messages/{message_id}", False),
        ("DELETE", "/models/{model}", False),
    ],
)
def test_deleting_what_is_inside_of_an_object_does_not_end_it(method: str, path: str, over: bool) -> None:
    assert ends(endpoint(method, path)) is over


@pytest.mark.parametrize(
    ("path", "store", "kept"),
    [
        ("/responses", None, True),
        ("/responses", True, True),
        ("/responses", False, False),
        ("/chat/completions", None, False),
        ("/chat/completions", False, False),
        ("/chat/completions", True, True),
        ("/threads", None, True),
    ],
)
def test_what_the_upstream_keeps(path: str, store: bool | None, kept: bool) -> None:
    facts = Facts("m", False, None, 1, 0, store, False, {})
    assert stays(endpoint("POST", path), facts) is kept


def test_what_is_kept_for_thirty_days_is_remembered_for_longer_and_files_for_ever() -> None:
    assert lifetime("response") > 30 * DAY
    assert lifetime("completion") > 30 * DAY
    assert lifetime("upload") > DAY / 24
    assert {kind for kind in OWNED if lifetime(kind) == 0} >= {"file", "thread", "vector_store", "batch"}


def test_a_team_and_a_key_of_the_same_name_are_two_owners() -> None:
    names = {
        owner_of(Client("research", "research", b"")),
        owner_of(Client("a", "a", b"", team="research")),
        owner_of(Client("b", "b", b"", team="research")),
    }
    assert names == {"key:research", "team:research"}


@pytest.mark.parametrize("kind", sorted(OWNED))
def test_everything_owned_has_words_in_openais_shape(kind: str) -> None:
    error = missing(Named(kind, "some-id"))
    said = json.loads(body_of(error))["error"]
    assert (error.status, said["type"]) == (404, "invalid_request_error")
    assert "some-id" in said["message"]
    assert dict(headers_of(error))["x-gateway-error"] == "not_found"


@pytest.mark.parametrize(
    ("named", "status", "message", "param", "code"),
    [
        (Named("file", "file-1"), 404, "No such File object: file-1", "id", None),
        (Named("response", "resp_1"), 404, "Response with id 'resp_1' not found.", None, None),
        (Named("thread", "thread_1"), 404, "No thread found with id 'thread_1'.", None, None),
        (Named("vector_store", "vs_1"), 404, "Vector store with id 'vs_1' not found.", None, None),
        (
            *(Named("response", "resp_1", "previous_response_id"), 400),
            *("Previous response with id 'resp_1' not found.", "previous_response_id"),
            "previous_response_not_found",
        ),
        (Named("file", "file-1", "file_id"), 404, "No such File object: file-1", "file_id", None),
    ],
)
def test_the_words_are_openais(
    named: Named, status: int, message: str, param: str | None, code: str | None
) -> None:
    error = missing(named)
    said = json.loads(body_of(error))["error"]
    assert (error.status, said["message"], said["param"], said["code"]) == (status, message, param, code)


@pytest.mark.parametrize("strange", ["x" * 5000, "\ud800", 'a"b\n', "sk-gw-abc-secret"])
def test_no_id_breaks_the_words_or_shows_a_key(strange: str) -> None:
    said = json.loads(body_of(missing(Named("file", strange))))["error"]["message"]
    assert len(said) < 200
    assert "secret" not in said
