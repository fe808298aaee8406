import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.errors import InvalidRequest
from gateway.policy.endpoints import TABLE
from gateway.policy.headers import VARY, request_id, to_client, to_upstream

CHAT = next(endpoint for endpoint in TABLE if endpoint.name == "chat.completions")
FILES = next(endpoint for endpoint in TABLE if endpoint.name == "files.create")
CONTENT = next(endpoint for endpoint in TABLE if endpoint.name == "files.content")
LIST = next(endpoint for endpoint in TABLE if endpoint.path == "/files" and endpoint.method == "GET")
MODELS = next(endpoint for endpoint in TABLE if endpoint.name == "models.list")
OURS = (("accept-encoding", "identity"), ("user-agent", "openai-team-gateway"))


def test_what_an_upstream_gets() -> None:
    given_headers = {
        "Accept": "application/json",
        "Content-Type": "application/json; charset=utf-8",
        "OpenAI-Beta": "assistants=v2",
        "Idempotency-Key": "k1",
        "X-Client-Request-Id": "r1",
    }
    assert to_upstream(CHAT, given_headers) == (
        ("accept", "application/json"),
        ("content-type", "application/json; charset=utf-8"),
        ("openai-beta", "assistants=v2"),
        ("idempotency-key", "k1"),
        ("x-client-request-id", "r1"),
        *OURS,
    )


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Authorization",
            "api-key",
            "Proxy-Authorization",
            "Cookie",
            "OpenAI-Organization",
            "OpenAI-Project",
        ),
        *(
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Real-IP",
            "Via",
            "Host",
            "Origin",
            "Referer",
        ),
        *("Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length"),
        *("Content-Encoding", "Accept-Encoding", "Expect", "User-Agent", "X-Stainless-OS", "X-Request-Id"),
        *("X-Gateway-Cache", "X-Gateway-Tags", "x-openai-client-user-agent", "x-anything"),
    ],
)
def test_what_an_upstream_never_gets(name: str) -> None:
    assert to_upstream(MODELS, {name: "secret"}) == OURS


def test_what_connection_names_is_dropped_too() -> None:
    headers = CIMultiDict([("Connection", "close, OpenAI-Beta"), ("connection", "ACCEPT"), ("Accept", "a")])
    headers["openai-beta"] = "x"
    assert to_upstream(MODELS, headers) == OURS


def test_several_values_become_one() -> None:
    headers = CIMultiDict([("Accept", "a"), ("accept", "b")])
    assert to_upstream(MODELS, headers)[0] == ("accept", "a, b")


def test_a_body_without_a_type_is_called_json_and_no_body_has_none() -> None:
    assert ("content-type", "application/json") in to_upstream(CHAT, {})
    assert to_upstream(MODELS, {"content-type": "text/plain"}) == OURS


def test_a_forms_type_keeps_its_boundary_and_is_never_made_up() -> None:
    boundary = ("content-type", "multipart/form-data; boundary=--x")
    assert to_upstream(FILES, dict([boundary]))[0] == boundary
    assert to_upstream(FILES, {}) == OURS


def test_a_type_is_that_of_a_body() -> None:
    typed = {"content-type": "text/plain"}
    assert to_upstream(MODELS, typed, has_body=True)[0] == ("content-type", "text/plain")
    assert to_upstream(CHAT, {}, has_body=False) == OURS
    assert to_upstream(CHAT, typed, has_body=False)[0] == ("content-type", "text/plain")


DOWNLOADS = ("Range", "If-Range", "If-None-Match", "If-Modified-Since")


@pytest.mark.parametrize("name", DOWNLOADS)
def test_parts_of_a_download_can_be_asked_for(name: str) -> None:
    assert to_upstream(CONTENT, {name: "bytes=0-9"})[0] == (name.lower(), "bytes=0-9")
    for endpoint in (CHAT, MODELS, LIST):  # a list is cut to what is its reader's
        assert name.lower() not in dict(to_upstream(endpoint, {name: "bytes=0-9"}))


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\x00", "é", "\udcff", "\x7f"])
def test_a_value_that_could_break_the_line_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_upstream(CHAT, {"OpenAI-Beta": value})
    assert (caught.value.code, caught.value.param) == ("invalid_header", "openai-beta")
    assert value not in caught.value.message


@given(
    st.dictionaries(st.sampled_from(["Accept", "Content-Type", "OpenAI-Beta", "x"]), st.text(st.characters()))
)
def test_no_value_that_crosses_can_start_a_new_line(headers: dict[str, str]) -> None:
    try:
        crossing = to_upstream(CHAT, headers)
    except InvalidRequest:
        return
    assert all(value.isascii() and not set(value) & set("\r\n\0") for _, value in crossing)


def test_what_a_client_gets() -> None:
    upstream = {
        "Content-Type": "text/event-stream",
        "X-Request-ID": "req_1",
        "OpenAI-Processing-MS": "12",
        "openai-version": "2020-10-01",
        "Retry-After": "3",
        "x-should-retry": "true",
        "Deprecation": "@1",
    }
    assert to_client(upstream) == [(name.lower(), value) for name, value in upstream.items()]


@pytest.mark.parametrize(
    "name",
    [
        *("Set-Cookie", "openai-organization", "openai-project", "alt-svc", "server", "cf-ray", "location"),
        *("x-ratelimit-remaining-requests", "X-RateLimit-Limit-Tokens", "strict-transport-security", "via"),
        *("content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive", "date"),
        *("www-authenticate", "access-control-allow-origin", "x-gateway-error", "x-anything"),
    ],
)
def test_what_a_client_never_gets(name: str) -> None:
    assert to_client({name: "x"}) == []


def test_an_upstreams_value_that_is_no_text_stays_behind() -> None:
    assert to_client({"x-request-id": "a\r\nset-cookie: b", "content-type": "a/b"}) == [
        ("content-type", "a/b")
    ]


@pytest.mark.parametrize("value", [None, "", "a b", "a\n", "é", "x" * 129, "<script>"])
def test_an_unfit_request_id_is_replaced(value: str | None) -> None:
    assert request_id(value, "fresh") == "fresh"


def test_a_fit_request_id_stays() -> None:
    assert request_id("Abc-1_2.3", "fresh") == "Abc-1_2.3"


def test_what_varies_an_answer_reaches_the_upstream() -> None:
    assert all(to_upstream(MODELS, {name: "x"})[0] == (name, "x") for name in VARY)


@pytest.mark.parametrize(
    "name",
    [
        *("Content-Disposition", "Content-Encoding", "Content-Range", "Accept-Ranges", "ETag"),
        *("Last-Modified", "Cache-Control"),
    ],
)
def test_what_describes_a_body_goes_with_it(name: str) -> None:
    assert to_client({name: "x"}, body=True) == [(name.lower(), "x")]
    assert to_client({name: "x"}) == []
    assert to_client({name: "x\r\ny"}, body=True) == []
    assert to_client({name: "x", "Connection": name}, body=True) == []


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/v1/realtime/calls/rtc_1", "/v1/realtime/calls/rtc_1"),
        ("https://api.openai.com/v1/realtime/calls/rtc_1", "/v1/realtime/calls/rtc_1"),
        ("https://x.openai.azure.com/openai/v1/realtime/calls/rtc_1", "/v1/realtime/calls/rtc_1"),
        ("http://127.0.0.1:8000/v1/files/file-1", "/v1/files/file-1"),
    ],
)
def test_a_location_is_one_of_the_gateways(location: str, shown: str) -> None:
    assert to_client({"Location": location}, body=True) == [("location", shown)]


@pytest.mark.parametrize(
    "location",
    [
        *(
            "https://evil.example/",
            "//evil.example/v1/x",
            "/v1",
            "/v1/",
            "/v1/../admin",
            "/v1/a?b=c",
            "/v1/a#b",
        ),
        *("/v2/files/1", "/v1/a%2e", "javascript:/v1/x", "/v1/a\r\nx: y", "rtc_1", "", "/v1//x", "/v1/a/"),
    ],
)
def test_any_other_location_is_the_upstreams_own(location: str) -> None:
    assert to_client({"Location": location}, body=True) == []
