import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MethodNotAllowed, UnknownUrl
from gateway.policy.endpoints import TABLE, UNKNOWN, Body, Charge, Endpoint, find, upstream_path


@pytest.mark.parametrize("endpoint", TABLE, ids=lambda endpoint: endpoint.name)
@pytest.mark.parametrize("root", ["/v1", "/openai", "/openai/v1"])
def test_every_operation_is_found_by_its_own_path(endpoint: Endpoint, root: str) -> None:
    places = re.findall(r"\{(\w+)\}", endpoint.path)
    args = {name: f"{name[:3]}_abc-1:2" for name in places}
    path = endpoint.path.format_map(args)
    assert find(endpoint.method, root + path, upgrade=endpoint.socket) == (endpoint, args)
    assert upstream_path(endpoint, args) == path


@pytest.mark.parametrize(
    ("path", "name", "args", "upstream"),
    [
        ("/v1//chat/completions", "chat.completions", {}, "/chat/completions"),
        ("/v1/engines/text-davinci-002/completions", "completions", "text-davinci-002", "/completions"),
        ("/v1//engines/ada/embeddings", "embeddings", "ada", "/embeddings"),
        ("/v1/engines/org%2Fm/chat/completions", "chat.completions", "org/m", "/chat/completions"),
        ("/v1/engines/ft%3Aa%3Ab%3A%3Ac/completions", "completions", "ft:a:b::c", "/completions"),
        ("/v1/engines/text-davinci-edit-001/edits", "edits", "text-davinci-edit-001", "/edits"),
        ("/v1///edits", "edits", {}, "/edits"),
    ],
)
def test_the_ways_of_the_old_library(path: str, name: str, args: object, upstream: str) -> None:
    endpoint, found = find("POST", path)
    assert endpoint.name == name
    assert found == ({"engine": args} if args else {})
    assert upstream_path(endpoint, found) == upstream


@pytest.mark.parametrize(
    ("path", "name", "upstream"),
    [
        ("/openai/deployments/gpt-4o/chat/completions", "chat.completions", "/chat/completions"),
        ("//openai/deployments/gpt-4o/embeddings", "embeddings", "/embeddings"),
        ("/v1/openai/deployments/gpt-4o/completions", "completions", "/completions"),
        ("/v1//openai/deployments/gpt-4o/completions", "completions", "/completions"),
        ("/openai/deployments/gpt-4o/audio/speech", "audio.speech.create", "/audio/speech"),
        (
            "/openai/deployments/gpt-4o/audio/transcriptions",
            "audio.transcriptions.create",
            "/audio/transcriptions",
        ),
        ("/openai/deployments/gpt-4o/audio/translations", "audio.translations.create", "/audio/translations"),
        ("/openai/deployments/gpt-4o/images/generations", "images.generate", "/images/generations"),
        ("/openai/deployments/gpt-4o/images/edits", "images.edit", "/images/edits"),
    ],
)
def test_azures_way_of_naming_a_model(path: str, name: str, upstream: str) -> None:
    endpoint, args = find("POST", path)
    assert (endpoint.name, args) == (name, {"deployment": "gpt-4o"})
    assert upstream_path(endpoint, args) == upstream


@pytest.mark.parametrize(
    ("method", "path", "name", "args"),
    [
        ("GET", "/v1/videos/characters/char_1", "videos.get_character", {"character_id": "char_1"}),
        ("GET", "/v1/videos/characters/content", "videos.get_character", {"character_id": "content"}),
        ("GET", "/v1/videos/video_1/content", "videos.download_content", {"video_id": "video_1"}),
        ("POST", "/v1/responses/input_tokens", "responses.input_tokens.count", {}),
        ("POST", "/v1/responses/compact", "responses.compact", {}),
        ("GET", "/v1/responses/resp_1", "responses.retrieve", {"response_id": "resp_1"}),
        ("POST", "/v1/threads/runs", "threads.create_and_run", {}),
        ("POST", "/v1/threads/thread_1", "threads.update", {"thread_id": "thread_1"}),
        (
            "POST",
            "/v1/fine_tuning/jobs/ftjob_1/cancel",
            "fine_tuning.jobs.cancel",
            {"fine_tuning_job_id": "ftjob_1"},
        ),
        ("POST", "/v1/fine_tuning/alpha/graders/run", "fine_tuning.alpha.graders.run", {}),
        ("DELETE", "/v1/models/ft:gpt-4o:org::a/b", "models.delete", {"model": "ft:gpt-4o:org::a/b"}),
        ("GET", "/v1/agents/sessions", "agents.sessions.list", {}),
        ("GET", "/v1/agents/agent_1", "agents.retrieve", {"agent_id": "agent_1"}),
    ],
)
def test_a_fixed_segment_wins(method: str, path: str, name: str, args: dict[str, str]) -> None:
    endpoint, found = find(method, path)
    assert (endpoint.name, found) == (name, args)


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
        *(
            "/v1/fines",
            "/v1/models/",
            "/v1/models//x",
            "/v1/files/",
            "/v1/files//content",
            "/v1/chat//completions",
        ),
        *("/v1/../admin", "/v1/%2e%2e%2fadmin", "/v1/models/..", "/v1/models/%2e%2e", "/v1/models/%2E"),
        *("/v1/models/a/../b", "/v1/models/a%2f..%2fb", "/v1/models/%252e%252e", "/v1/models/./x"),
        *("//evil.com/v1/models", "http://evil.com/v1/models", "/v1@evil.com/models", "/v1;x/models"),
        *("/v1/models;x", "/v1/models/a;b", "/v1/models/a%3Bb", "/v1/models\\x", "/v1/models/a%5Cb"),
        *("/v1/models/%00", "/v1/models/a\x00", "/v1/models/a%0d%0ab", "/v1/models/\n", "/v1/models/%7f"),
        *("/v1/models/%ff", "/v1/models/%zz", "/v1/models/é", "/v1/models?x=1", "/v1/models#x"),
        *("/v1/%63hat/completions", "/v1/chat%2Fcompletions", "/v1/engines//completions"),
        *("/v1/engines/../completions", "/v1/engines/a/b/completions", "/v1/engines/a/images/edits"),
        *("/openai", "/openai/", "///openai/models", "/OpenAI/models", "/openai/v2/models"),
        *("/openai/deployments/a/files", "/openai/deployments//completions", "/v1/v1/models"),
        *("/v1/responses/%2e%2e", "/v1/files/..%2fmodels/content", "/v1/threads/a%00/runs"),
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
        find("PUT", "/v1/chat/completions")
    assert caught.value.headers == (("allow", "GET, POST"),)
    for method, path in (
        ("post", "/v1/chat/completions"),
        ("HEAD", "/v1/models"),
        ("GET", "/v1/videos/edits"),
    ):
        with pytest.raises(MethodNotAllowed):
            find(method, path)


def test_a_websocket_is_opened_only_by_who_asks_for_one() -> None:
    assert find("GET", "/v1/realtime", upgrade=True)[0].name == "realtime"
    assert find("GET", "/openai/realtime", upgrade=True)[0].socket
    assert find("GET", "/v1/responses", upgrade=True)[0].name == "responses.connect"
    assert find("POST", "/v1/responses", upgrade=True)[0].name == "responses"
    assert find("GET", "/v1/models", upgrade=True)[0].name == "models.list"
    with pytest.raises(UnknownUrl, match="WebSockets"):
        find("GET", "/v1/realtime")
    with pytest.raises(MethodNotAllowed, match="takes POST"):
        find("GET", "/v1/responses")


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("/chat/completions", "put it at the end of base_url"),
        ("/files/file-1/content", "put it at the end of base_url"),
        ("/v1/v1/models", "leave one out of base_url"),
        ("/v1/nothing", "serves the OpenAI API under /v1"),
        ("/models\\x", "serves the OpenAI API under /v1"),
    ],
)
def test_a_wrong_base_address_is_explained(path: str, advice: str) -> None:
    with pytest.raises(UnknownUrl, match=re.escape(advice)):
        find("GET", path)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("path", "group", "upstream", "args"),
    [
        ("/v1/dreams", UNKNOWN, "/dreams", {}),
        ("/openai/dreams/d_1", UNKNOWN, "/dreams/d_1", {}),
        ("/v1/dreams/a%2Db:c@d~", UNKNOWN, "/dreams/a-b:c@d%7E", {}),
        ("/v1/files/file-1/summary", "files", "/files/file-1/summary", {"file_id": "file-1"}),
        ("/v1/organization/secrets", "organization", "/organization/secrets", {}),
        ("/v1/chat/dreams", "inference", "/chat/dreams", {}),
        ("/v1/audio/dreams", "voices", "/audio/dreams", {}),
    ],
)
def test_what_nobody_knows_is_passed_on_where_that_is_wished(
    method: str, path: str, group: str, upstream: str, args: dict[str, str]
) -> None:
    with pytest.raises(UnknownUrl):
        find(method, path)
    endpoint, found = find(method, path, forward=True)
    assert (endpoint.name, endpoint.method, endpoint.group) == (UNKNOWN, method, group)
    assert (endpoint.body, endpoint.charge, endpoint.judged) == (Body.FORM, Charge.FREE, False)
    assert found == args
    assert upstream_path(endpoint, found) == upstream.replace("%7E", "~")


def test_a_new_method_of_a_known_path_is_passed_on_with_its_places() -> None:
    endpoint, args = find("PATCH", "/v1/files/file-1", forward=True)
    assert (endpoint.name, endpoint.method, endpoint.group) == (UNKNOWN, "PATCH", "files")
    assert args == {"file_id": "file-1"}
    assert find("POST", "/v1/files", forward=True)[0].name == "files.create"


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/%63hat/completions", "/v1/chat%2Fcompletions", "/v1/Chat/Completions", "/v1/CHAT/completions"),
        *(
            "/v1/chat//completions",
            "/v1/chat/completions/",
            "/v1/chat/./completions",
            "/v1/x/../chat/completions",
        ),
        *(
            "/v1/chat/completions%20",
            "/v1/chat/completions;x",
            "/v1/chat/completions%00",
            "/v1/dreams/%2e%2e",
        ),
        *(
            "/v1/v1/chat/completions",
            "/v1/openai/openai/models",
            "/dreams",
            "/v2/dreams",
            "//evil.com/v1/dreams",
        ),
        *(
            "/v1/FILES/file-1/summary",
            "/v1/dreams/",
            "/v1//",
            "/v1/dreams/.hidden",
            "/v1/dreams/a..b",
            "/v1/%64%2F",
        ),
        *("/v1/dreams/a%252e", "/v1/dreams/{x}", "/v1/dreams/%7Bx%7D", "/v1/dreams/%ff", "/v1/models/"),
    ],
)
def test_what_could_be_taken_for_something_known_is_not_passed_on(path: str) -> None:
    with pytest.raises((UnknownUrl, MethodNotAllowed)):
        find("PUT" if path == "/v1/models/" else "POST", path, forward=True)


def test_other_methods_are_never_passed_on() -> None:
    for method in ("HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW"):
        with pytest.raises((UnknownUrl, MethodNotAllowed)):
            find(method, "/v1/dreams", forward=True)
        with pytest.raises((UnknownUrl, MethodNotAllowed)):
            find(method, "/v1/files", forward=True)


def test_a_refusal_names_what_was_asked_and_hides_what_looks_like_a_key() -> None:
    with pytest.raises(UnknownUrl, match="GET /v1/fines"):
        find("GET", "/v1/fines")
    with pytest.raises(UnknownUrl) as caught:
        find("GET", "/v1/sk-gw-0123abcd-Secret9")
    assert "Secret9" not in caught.value.message


@given(
    st.sampled_from(["GET", "POST"]),
    st.text() | st.text("/v1.%2eE\\;models@:").map(lambda t: f"/v1/{t}"),
    st.booleans(),
)
def test_what_an_upstream_sees_is_the_tables(method: str, path: str, forward: bool) -> None:
    try:
        endpoint, args = find(method, path, forward=forward)
    except (UnknownUrl, MethodNotAllowed):
        return
    upstream = upstream_path(endpoint, args)
    assert upstream.startswith(endpoint.path.split("{")[0])
    assert re.fullmatch(r"(/[A-Za-z0-9._~:@%\-]+)+", upstream)
    assert not {"", ".", ".."} & set(upstream.split("/")[1:])
    assert ".." not in upstream
    assert upstream.count("/") == endpoint.path.count("/")


@given(st.from_regex(r"[\w:@+~ -]{1,30}(/[\w-]{1,30})?", fullmatch=True).filter(str.isprintable))
def test_any_plausible_name_comes_back_as_it_was(model: str) -> None:
    endpoint, args = find("GET", "/v1/models/" + quote(model, safe=""))
    assert args == {"model": model}
    assert upstream_path(endpoint, args) == "/models/" + quote(model, safe=":@")
