"""The upstream gets the client's own bytes, but for an alias and for the usage that a stream must report."""

import json

import pytest

from tests.conftest import Start
from tests.running import Running
from tests.scripted import Scripted

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            CHAT,
            b'{ "x_new" : [1.0, 1e2],"model":"m",\n"messages":[{"role":"user","content":"\\u00e9"}]}',
        ),
        ("/v1/completions", b'{"prompt":["a","b"],"model":"m","n":2, "unknown": {"z":1,"a":2}}'),
        ("/v1/embeddings", b'{"input":[1,2,3],"model":"text-embedding-3-small","encoding_format":"base64"}'),
        (
            "/v1/responses",
            b'{"input":"hi","model":"gpt-4o-mini","stream":false,"reasoning":{"effort":"low"}}',
        ),
        ("/v1/moderations", b'{"input":"hi"}'),
    ],
)
async def test_the_body_passes_byte_for_byte(
    gateway: Running, upstream: Scripted, path: str, body: bytes
) -> None:
    async with gateway.post(path, body) as answer:
        assert answer.status == 200
    assert upstream.requests[0].body == body
    assert upstream.requests[0].path == path


async def test_an_alias_changes_the_model_and_nothing_else(start: Start, upstream: Scripted) -> None:
    gateway = await start('[models.aliases]\n"text-davinci-*" = "gpt-6-luna"')
    body = b'{"prompt": "a \\"model\\": \\"x\\"", "model":  "text-davinci-002", "max_tokens": 5}'
    async with gateway.post("/v1/completions", body):
        pass
    assert upstream.requests[0].body == body.replace(b'"text-davinci-002"', b'"gpt-6-luna"')


async def test_usage_is_asked_for_and_hidden_again(gateway: Running, upstream: Scripted) -> None:
    body = b'{"messages":[{"role":"user","content":"hi"}], "stream": true, "model":"gpt-4o-mini"}'
    async with gateway.post(CHAT, body) as answer:
        events = await answer.text()
    sent = upstream.requests[0].json()
    assert sent.pop("stream_options") == {"include_usage": True}
    assert sent == json.loads(body)
    assert all(json.loads(e[6:])["choices"] for e in events.split("\n\n") if e and "[DONE]" not in e)


async def test_an_engine_in_the_path_becomes_the_model(gateway: Running, upstream: Scripted) -> None:
    async with gateway.post("/v1//engines/gpt-4o-mini/chat/completions", {"messages": []}) as answer:
        assert answer.status == 200
    assert upstream.requests[0].path == CHAT
    assert upstream.requests[0].json() == {"model": "gpt-4o-mini", "messages": []}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'{"model":"a","model":"b","messages":[]}', "duplicate_key"),
        (b'{"model":"a","messages":[],"max_tokens":-1}', "invalid_max_tokens"),
        (b'{"model":"a","messages":[],"n":1.5}', "invalid_n"),
        (b'{"messages":[]}', "missing_model"),
        (b'{"model":"a","messages":' + b"[" * 100_000 + b"}", "invalid_json"),
    ],
)
async def test_what_cannot_be_priced_is_refused_in_words(
    gateway: Running, upstream: Scripted, body: bytes, code: str
) -> None:
    async with gateway.post(CHAT, body) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == code
    assert upstream.calls == 0


async def test_models_are_listed_and_retrieved(gateway: Running, upstream: Scripted) -> None:
    async with gateway.get("/v1/models") as answer:
        assert (await answer.json())["object"] == "list"
    async with gateway.get("/v1/models/ft:gpt-4o:org::abc") as answer:
        assert answer.status in (200, 404)
    assert upstream.requests[0].path == "/v1/models"
    assert upstream.requests[1].path.endswith(("ft:gpt-4o:org::abc", "ft%3Agpt-4o%3Aorg%3A%3Aabc"))
