"""URLs: below the base, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gateway.errors import UnknownUrl
from gateway.upstream.target import base_url, target

BASE = base_url("https://api.example.com/v1/")
ODD = (
    *(
        "",
        "x",
        "@evil.com/",
        ":8080/x",
        "//evil.com/v1",
        "/..",
        "/../admin",
        "/models/..",
        "/models/%2e%2E/admin",
    ),
    *(
        "/models/.",
        "/a/./b",
        "/a\\b",
        "/a b",
        "/a\r\nHost: evil",
        "/\x00",
        "/é",
        "/%zz",
        "/a#b",
        "/models/..?x",
    ),
)
UNUSABLE = (
    *(
        "",
        "api.openai.com/v1",
        "ftp://a/v1",
        "http://",
        "https://me:sk-canary@a/v1",
        "http://a/v1?k=sk-canary",
    ),
    *("http://a/v1#sk-canary", "http://a:99999/sk-canary", "http://[sk-canary"),
)


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/chat/completions", "https://api.example.com/v1/chat/completions"),
        ("/models/ft:gpt-4o:org::id", "https://api.example.com/v1/models/ft:gpt-4o:org::id"),
        ("/models/a%2Fb%20c", "https://api.example.com/v1/models/a%2Fb%20c"),
        ("/files?limit=2&after=x%26y", "https://api.example.com/v1/files?limit=2&after=x%26y"),
        ("/models/..gpt", "https://api.example.com/v1/models/..gpt"),
    ],
)
def test_a_path_is_kept_as_it_is_written(path: str, url: str) -> None:
    assert str(target(BASE, path)) == url


@pytest.mark.parametrize(
    "query", ["limit=2", "include[]=a&include[]=b", "include%5B%5D=a", "a=1&a=2&a", "after=x%26y+z&b=?/:@"]
)
def test_a_query_is_kept_as_it_is_written(query: str) -> None:
    url = target(BASE, "/files", query)
    assert str(url) == f"https://api.example.com/v1/files?{query}"
    assert url.raw_path_qs == f"/v1/files?{query}"


@pytest.mark.parametrize(
    "query", ["a b", "a#b", "a\\b", "a\r\nHost: evil", "a\x00", "é", "%zz", "%", '"', "<x>", "a=1\n"]
)
def test_an_odd_query_is_refused(query: str) -> None:
    with pytest.raises(UnknownUrl):
        target(BASE, "/files", query)


def test_there_is_one_query() -> None:
    with pytest.raises(UnknownUrl):
        target(BASE, "/files?a=1", "b=2")


@pytest.mark.parametrize("path", ODD)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(UnknownUrl):
        target(BASE, path)


@given(st.text(alphabet=st.characters(max_codepoint=0x24F), max_size=30))
def test_no_text_leaves_the_base(text: str) -> None:
    for path, query in ((text, ""), ("/" + text, ""), ("/models/" + text, ""), ("/models", text)):
        try:
            url = target(BASE, path, query)
        except UnknownUrl:
            continue
        assert (url.scheme, url.host, url.port, url.user) == ("https", "api.example.com", 443, None)
        assert URL(str(url)).raw_path.startswith("/v1/")
        assert str(url).isprintable()


@pytest.mark.parametrize("text", UNUSABLE)
def test_a_base_that_cannot_be_used_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        base_url(text)
    assert "canary" not in str(caught.value)
