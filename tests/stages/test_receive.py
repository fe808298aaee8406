"""The upstream gets the client's own bytes, but for an alias and for the usage that a stream must report."""

import asyncio
import json

import pytest

from tests import books
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted, hold
from tests.web.raw import Raw

CHAT = "/v1/chat/completions"
HEADERS = {"Authorization": f"Bearer {KEY}"}


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


# A bound where a limit puts one

CAPPED = '[{ limit = "$5/day", cap_output = 40 }, { limit = "9M tokens/day", cap_output = 60 }]'
ALIAS = '[models.aliases]\n"old" = "gpt-6-luna"'


@pytest.mark.parametrize(
    ("path", "body", "sent"),
    [
        (
            CHAT,
            b'{ "model":"gpt-4o-mini",\n"messages":[] , "x":1e2}',
            b'{"max_tokens":40, "model":"gpt-4o-mini",\n"messages":[] , "x":1e2}',
        ),
        (
            CHAT,
            b'{"messages":[],"model":"old"}',
            b'{"max_completion_tokens":40,"messages":[],"model":"gpt-6-luna"}',
        ),
        (
            CHAT,
            b'{"model":"gpt-4o-mini","max_tokens": null,"messages":[]}',
            b'{"model":"gpt-4o-mini","max_tokens": 40,"messages":[]}',
        ),
        (
            "/v1/completions",
            b'{"model":"gpt-4o-mini","prompt":"a","n":2}',
            b'{"max_tokens":40,"model":"gpt-4o-mini","prompt":"a","n":2}',
        ),
        (
            "/v1/responses",
            b'{"model":"gpt-6-luna","input":"a"}',
            b'{"max_output_tokens":40,"model":"gpt-6-luna","input":"a"}',
        ),
        (
            CHAT,
            b'{"model":"old","messages":[],"stream":true}',
            b'{"stream_options":{"include_usage":true},"max_completion_tokens":40,"model":"gpt-6-luna",'
            b'"messages":[],"stream":true}',
        ),
        (
            "/v1//engines/gpt-4o-mini/chat/completions",
            b'{"messages":[]}',
            b'{"model":"gpt-4o-mini","max_tokens":40,"messages":[]}',
        ),
        # A bound of their own, or nothing to bound.
        (CHAT, b'{"model":"gpt-4o-mini","messages":[],"max_tokens":99}', None),
        (CHAT, b'{"model":"gpt-6-luna","messages":[],"max_completion_tokens":99}', None),
        ("/v1/embeddings", b'{"model":"text-embedding-3-small","input":"a"}', None),
        ("/v1/moderations", b'{"input":"a"}', None),
    ],
)
async def test_an_unbounded_request_is_sent_with_the_bound_and_otherwise_as_it_was(
    start: Start, upstream: Scripted, path: str, body: bytes, sent: bytes | None
) -> None:
    gateway = await start(ALIAS, limits=CAPPED)
    async with gateway.post(path, body) as answer:
        assert answer.status == 200
        await answer.read()
    assert upstream.requests[0].body == (body if sent is None else sent)
    assert (await books.row(gateway)).bounded is True


async def test_the_bound_is_what_is_held(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='[{ limit = "1000 tokens/day", cap_output = 40 }]')
    answered = asyncio.Event()
    upstream.plan(hold(answered))
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "n": 3}
    asking = asyncio.create_task(gateway.session.post(gateway.url + CHAT, json=body, headers=HEADERS))
    await upstream.received(1)
    client = gateway.gateway.clients.client("test")
    assert client is not None
    (standing,) = await gateway.gateway.holds.standings(
        client.shard, client.limits, gateway.gateway.clock.now()
    )
    assert 3 * 40 < standing.held < 3 * 40 + 20
    answered.set()
    (await asking).close()


async def test_capped_and_uncapped_answers_are_not_mixed_in_the_cache(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='[{ limit = "$5/day", cap_output = 3 }]')
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "b", "team": "research"}) as made:
        free = (await made.json())["key"]
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three four five"}]}
    answers = []
    for key, more in ((KEY, {}), (free, {}), (free, {"max_tokens": 3}), (KEY, {}), (KEY, {"max_tokens": 3})):
        async with gateway.post(CHAT, body | more, key=key) as answer:
            reason = (await answer.json())["choices"][0]["finish_reason"]
            answers.append((answer.headers["x-gateway-cache"], reason))
    # What is sent is what is looked up: the same bound is the same question, wherever it comes from.
    assert answers == [("miss", "length"), ("miss", "stop"), *[("hit", "length")] * 3]


async def test_a_cap_in_shadow_mode_or_for_other_models_caps_nobody(start: Start, upstream: Scripted) -> None:
    shadow = '{ limit = "$5/day", cap_output = 9, mode = "shadow" }'
    gateway = await start(limits=f'[{shadow}, {{ limit = "$4/day on gpt-6*", cap_output = 9 }}]')
    body = b'{"model":"gpt-4o-mini","messages":[]}'
    async with gateway.post(CHAT, body):
        pass
    assert upstream.requests[0].body == body
    assert (await books.row(gateway)).bounded is False


# What the client says that it is for


async def test_tags_of_the_header_and_of_the_key(start: Start, upstream: Scripted) -> None:
    gateway = await start('tags = { site = "north", team = "a" }')
    tags = {"x_gateway_tags": "project=atlas, site=south"}
    body = {"model": "gpt-4o-mini", "messages": []}
    async with gateway.post(CHAT, body, **tags) as answer:
        assert answer.status == 200
    async with gateway.post(CHAT, b"{", **tags) as answer:
        assert answer.status == 400
    for wrong in (
        "project",
        "a=b=c",
        "=b",
        "a=",
        ",".join(f"t{n}=1" for n in range(17)),
        "ü=1",
        "a=" + "x" * 129,
    ):
        async with gateway.post(CHAT, body, x_gateway_tags=wrong) as answer:
            assert (answer.status, answer.headers["x-gateway-error"]) == (400, "invalid_tags"), wrong
    rows = await books.rows(gateway)
    own = {"site": "north", "team": "a"}
    assert [row.tags for row in rows] == [{"project": "atlas"} | own] * 2 + [own] * 7
    async with gateway.admin("GET", "/admin/v1/usage?group_by=tag") as answer:
        lines = {line["tag"]: line["requests"] for line in (await answer.json())["data"]}
    assert lines == {"project=atlas": 2, "site=north": 9, "team=a": 9}
    assert upstream.calls == 1


async def test_bytes_that_are_no_text_are_no_tag_and_no_fault_of_the_gateways(
    gateway: Running, upstream: Scripted
) -> None:
    async with Raw(gateway.app.listeners.public_port) as client:
        await client.send(
            b"POST %b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\nContent-Type: application/json\r\n"
            b"x-gateway-tags: project=\xff\xfe\r\nContent-Length: 37\r\n\r\n"
            b'{"model":"gpt-4o-mini","messages":[]}' % (CHAT.encode(), KEY.encode())
        )
        answer = await client.response()
    assert (answer.status, answer.headers["x-gateway-error"]) == (400, "invalid_tags")
    assert (await books.row(gateway)).error == "invalid_tags"


async def test_who_may_not_come_in_is_charged_to_the_tags_of_the_key(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start('tags = { site = "north" }\naddresses = ["10.0.0.1"]')
    async with gateway.post(CHAT, {"model": "m"}) as answer:
        assert answer.status == 403
    row = await books.row(gateway)
    assert (row.error, row.tags, row.status) == ("address_not_allowed", {"site": "north"}, 403)
