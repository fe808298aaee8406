from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MethodNotAllowed, UnknownUrl
from gateway.policy.endpoints import TABLE, find, upstream_path


@pytest.mark.parametrize("endpoint", [e for e in TABLE if "{" not in e.path], ids=lambda e: e.name)
def test_every_operation_is_found_by_its_own_path(endpoint: object) -> None:
    found, args = find(endpoint.method, f"/v1{endpoint.path}")  # type: ignore[attr-defined]
    assert (found, args) == (endpoint, {})
    assert upstream_path(found, args) == found.path


def test_names_and_operations_are_unique() -> None:
    assert len({e.name for e in TABLE}) == len({(e.method, e.path) for e in TABLE}) == len(TABLE)


@pytest.mark.parametrize(
    ("path", "name", "args", "upstream"),
    [
        ("/v1//chat/completions", "chat.completions", {}, "/chat/completions"),
        ("/v1/engines/text-davinci-002/completions", "completions", "text-davinci-002", "/completions"),
        ("/v1//engines/ada/embeddings", "embeddings", "ada", "/embeddings"),
        ("/v1/engines/org%2Fm/chat/completions", "chat.completions", "org/m", "/chat/completions"),
        ("/v1/engines/ft%3Aa%3Ab%3A%3Ac/completions", "completions", "ft:a:b::c", "/completions"),
    ],
)
def test_the_ways_of_the_old_library(path: str, name: str, args: object, upstream: str) -> None:
    endpoint, found = find("POST", path)
    assert endpoint.name == name
    assert found == ({"engine": args} if args else {})
    assert upstream_path(endpoint, found) == upstream


@pytest.mark.parametrize(
    ("path", "model", "upstream"),
    [
        ("/v1/models/gpt-4o", "gpt-4o", "/models/gpt-4o"),
        ("/v1/models/ft:gpt-4o:org::abc", "ft:gpt-4o:org::abc", "/models/ft:gpt-4o:org::abc"),
        ("/v1/models/ft%3Agpt-4o%3Aorg%3A%3Aabc", "ft:gpt-4o:org::abc", "/models/ft:gpt-4o:org::abc"),
        ("/v1/models/org/model", "org/model", "/models/org%2Fmodel"),
        ("/v1/models/org%2Fmodel", "org/model", "/models/org%2Fmodel"),
        ("/v1/models/mod%C3%A8le", "modèle", "/models/mod%C3%A8le"),
    ],
)
def test_a_models_name_survives(path: str, model: str, upstream: str) -> None:
    endpoint, args = find("GET", path)
    assert (endpoint.name, args) == ("models.retrieve", {"model": model})
    assert upstream_path(endpoint, args) == upstream


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/v1", "/v1/", "/v2/models", "/models", "v1/models", "//v1/models", "/V1/models"),
        *("/v1/files", "/v1/models/", "/v1///models", "/v1/models//x", "/v1/chat//completions"),
        *("/v1/../admin", "/v1/%2e%2e%2fadmin", "/v1/models/..", "/v1/models/%2e%2e", "/v1/models/%2E"),
        *("/v1/models/a/../b", "/v1/models/a%2f..%2fb", "/v1/models/%252e%252e", "/v1/models/./x"),
        *("//evil.com/v1/models", "http://evil.com/v1/models", "/v1@evil.com/models", "/v1;x/models"),
        *("/v1/models;x", "/v1/models/a;b", "/v1/models/a%3Bb", "/v1/models\\x", "/v1/models/a%5Cb"),
        *("/v1/models/%00", "/v1/models/a\x00", "/v1/models/a%0d%0ab", "/v1/models/\n", "/v1/models/%7f"),
        *("/v1/models/%ff", "/v1/models/%zz", "/v1/models/é", "/v1/models?x=1", "/v1/models#x"),
        *("/v1/%63hat/completions", "/v1/chat%2Fcompletions", "/v1/engines//completions"),
        *("/v1/engines/../completions", "/v1/engines/a/b/completions", "/v1/engines/a/edits"),
        "/v1/models/" + "x" * 2000,
    ],
)
def test_everything_else_does_not_exist(path: str) -> None:
    with pytest.raises(UnknownUrl) as caught:
        find("GET", path)
    assert len(caught.value.message) < 200
    assert caught.value.message.isprintable()
    with pytest.raises(UnknownUrl):
        find("POST", path)


def test_a_wrong_method_is_told_the_right_ones() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        find("GET", "/v1/chat/completions")
    assert caught.value.headers == (("allow", "POST"),)
    with pytest.raises(MethodNotAllowed):
        find("post", "/v1/chat/completions")


def test_a_refusal_names_what_was_asked_and_hides_what_looks_like_a_key() -> None:
    with pytest.raises(UnknownUrl, match="GET /v1/files"):
        find("GET", "/v1/files")
    with pytest.raises(UnknownUrl) as caught:
        find("GET", "/v1/sk-gw-0123abcd-Secret9")
    assert "Secret9" not in caught.value.message


@given(st.sampled_from(["GET", "POST"]), st.text() | st.text("/v1.%2eE\\;models@:").map(lambda t: f"/v1/{t}"))
def test_what_an_upstream_sees_is_the_tables(method: str, path: str) -> None:
    try:
        endpoint, args = find(method, path)
    except (UnknownUrl, MethodNotAllowed):
        return
    upstream = upstream_path(endpoint, args)
    assert upstream.startswith(endpoint.path.split("{")[0])
    assert ".." not in upstream
    assert upstream.count("/") == endpoint.path.count("/")


@given(st.from_regex(r"[\w:@+~ -]{1,30}(/[\w-]{1,30})?", fullmatch=True).filter(str.isprintable))
def test_any_plausible_name_comes_back_as_it_was(model: str) -> None:
    endpoint, args = find("GET", "/v1/models/" + quote(model, safe=""))
    assert args == {"model": model}
    assert upstream_path(endpoint, args) == "/models/" + quote(model, safe=":@")
