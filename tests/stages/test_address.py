"""The upstream gets the client's own bytes, but for an alias, a bound, and usage that streams must report."""

import asyncio
import json

import pytest

from tests import books
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted, hold
from tests.scripted import json as reply

CHAT = "/v1/chat/completions"
HEADERS = {"Authorization": f"Bearer {KEY}"}


async def test_an_alias_changes_the_model_and_nothing_else(start: Start, upstream: Scripted) -> None:
    gateway = await start('[models.aliases]\n"text-davinci-*" = "davinci-002"')
    body = b'{"prompt": "a \\"model\\": \\"x\\"", "model":  "text-davinci-002", "max_tokens": 5}'
    async with gateway.post("/v1/completions", body):
        pass
    assert upstream.requests[0].body == body.replace(b'"text-davinci-002"', b'"davinci-002"')


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
            b'{"model":"davinci-002","prompt":"a","n":2}',
            b'{"max_tokens":40,"model":"davinci-002","prompt":"a","n":2}',
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


async def test_who_may_use_some_models_has_to_name_one(gateway: Running, upstream: Scripted) -> None:
    upstream.plan(reply(200, {"data": []}))
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "a", "models": ["gpt-image-*"]}) as made:
        narrow = (await made.json())["key"]
    for key, status in ((KEY, 200), (narrow, 400)):
        async with gateway.post("/v1/images/generations", {"prompt": "a lamp"}, key=key) as answer:
            assert answer.status == status
            said = await answer.json()
    assert (said["error"]["code"], upstream.calls) == ("missing_model", 1)


async def test_a_deployment_counts_and_not_what_the_body_names(gateway: Running, upstream: Scripted) -> None:
    path = "/openai/deployments/gpt-4o-mini/chat/completions?api-version=2026-01-01&a=1&a=2"
    async with gateway.post(path, b'{"messages":[], "model":"gpt-5-pro"}') as answer:
        assert answer.status == 200
    assert upstream.requests[0].path == "/v1/chat/completions?a=1&a=2"
    assert upstream.requests[0].body == b'{"messages":[], "model":"gpt-4o-mini"}'
    assert (await books.row(gateway)).model == "gpt-4o-mini"


async def test_openai_is_told_whose_request_it_is_where_that_is_wished_for(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start('[endpoints]\nsafety_identifier = "key"\nprompt_cache_key = "team"\n')
    for body in (b'{"model":"gpt-4o-mini","messages":[]}', b'{"model":"gpt-4o-mini","messages":[] }'):
        async with gateway.post(CHAT, body) as answer:
            assert answer.status == 200
    own = b'{"model":"gpt-4o-mini","seed":7,"messages":[],"safety_identifier":"me","prompt_cache_key":"mine"}'
    async with gateway.post(CHAT, own):
        pass
    first, last = upstream.requests
    told = first.json()
    assert len(told.pop("safety_identifier")) == len(told.pop("prompt_cache_key")) == 64
    assert told == {"model": "gpt-4o-mini", "messages": []}
    assert last.body == own


async def test_the_query_is_part_of_the_question(gateway: Running, upstream: Scripted) -> None:
    for query in ("?a=1", "?a=2", "?a=1"):
        async with gateway.post(CHAT + query, b'{"model":"gpt-4o-mini","messages":[]}') as answer:
            assert answer.status == 200
    assert [seen.path for seen in upstream.requests] == [CHAT + "?a=1", CHAT + "?a=2"]
