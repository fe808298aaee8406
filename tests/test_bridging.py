"""What is asked instead of an old operation, and the answers on their way back."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.bridging import CHAT, Bridged, Turned, bridged
from gateway.errors import InvalidRequest, UpstreamProtocolError
from gateway.exchange import Outbound
from gateway.flights import Flights
from gateway.incoming import Incoming
from gateway.policy.cachekey import canonical
from gateway.policy.endpoints import find
from gateway.policy.facts import read
from gateway.policy.sse import LIMIT
from gateway.runtime import Tasks
from gateway.settings import Upstream
from gateway.sources import Direct, Shared, Source, Stored
from gateway.upstream.transport import Transport
from tests.openai_like import chat_completion, usage_of
from tests.scripted import Scripted, event, sse
from tests.scripted import json as plain
from tests.waiting import PATIENCE

COMPLETIONS, _ = find("POST", "/v1/completions")
EDITS, _ = find("POST", "/v1/edits")
OUTBOUND = Outbound("POST", "/chat/completions", (("content-type", "application/json"),), b'{"model":"m"}')
JSON = [("content-type", "application/json"), ("x-request-id", "req_1")]


def ask(model: str = "gpt-4o", **fields: Any) -> Bridged:
    body = json.dumps({"model": "davinci", "prompt": "Once", **fields}).encode()
    made = bridged(COMPLETIONS, body, read(COMPLETIONS, body), model)
    assert made is not None
    return made


def test_a_completion_is_asked_as_a_chat_of_the_model_that_is_sent() -> None:
    made = ask(stream=True, n=2)
    assert (made.asked, made.endpoint) == (COMPLETIONS, CHAT)
    assert json.loads(made.body)["model"] == "gpt-4o"
    facts = made.facts
    assert (facts.model, facts.stream, facts.n, facts.max_output) == ("davinci", True, 2, 16)
    start, end = facts.spans["messages"]
    assert json.loads(made.body[start:end]) == [{"role": "user", "content": "Once"}]
    assert "Once" not in repr(made)


@pytest.mark.parametrize("model", ["text-davinci-002", "gpt-3.5-turbo-instruct", "smollm2-135m-instruct"])
def test_models_that_complete_are_asked_for_completions(model: str) -> None:
    body = b'{"model":"gpt-4o","prompt":"Once","suffix":"x"}'  # what is sent decides, not what was asked for
    assert bridged(COMPLETIONS, body, read(COMPLETIONS, body), model) is None


def test_other_operations_are_what_they_are() -> None:
    body = b'{"model":"gpt-4o","messages":[]}'
    assert bridged(CHAT, body, read(CHAT, body), "gpt-4o") is None
    assert bridged(CHAT, body, read(CHAT, body), None) is None


def test_an_edit_is_a_chat_for_every_model() -> None:
    body = b'{"input":"a","instruction":"b"}'
    made = bridged(EDITS, body, read(EDITS, body, engine="text-davinci-edit-001"), "smollm2-135m-instruct")
    assert made is not None
    assert (made.asked, made.endpoint) == (EDITS, CHAT)
    assert (made.facts.model, made.facts.max_output) == ("text-davinci-edit-001", None)
    with pytest.raises(InvalidRequest) as refused:
        bridged(EDITS, body, read(EDITS, body), None)
    assert refused.value.code == "missing_model"


def test_the_cache_knows_it_as_the_chat_that_it_is_and_as_no_other() -> None:
    def key(body: bytes) -> bytes | None:
        return canonical(CHAT.name, body, "gpt-4o")

    messages = [{"role": "user", "content": "Once"}]
    asked = {"model": "x", "messages": messages, "max_tokens": 16}
    assert key(ask().body) == key(json.dumps(asked).encode())
    others: list[dict[str, Any]] = [
        {"n": 2},
        {"logprobs": 0},
        {"logprobs": 1},
        {"stop": "a"},
        {"stop": ["a"]},
        {"max_tokens": 17},
    ]
    keys = {key(ask(**fields).body) for fields in [{}, *others]}
    assert len(keys) == len(others) + 1
    assert None not in keys
    assert key(ask(stream=True, user="ann").body) == key(ask().body)


def answer(text: str) -> bytes:
    return json.dumps(chat_completion(1, text, usage_of(4, 3), "stop", 1, "gpt-4o-x")).encode()


async def told(source: Source) -> bytes:
    return b"".join([piece async for piece in source.pieces()])


async def test_a_plain_answer_has_its_own_length() -> None:
    source = await ask(logprobs=0).answered(Stored(200, JSON, [answer("Ünd?")], len(answer("Ünd?"))))
    body = await told(source)
    assert (source.status, source.headers, source.length) == (200, JSON, len(body))
    assert json.loads(body)["object"] == "text_completion"
    assert json.loads(body)["choices"][0]["text"] == "Ünd?"
    assert json.loads(body)["usage"] == usage_of(4, 3)


async def test_an_edit_is_answered_as_one() -> None:
    body = b'{"model":"gpt-4o","instruction":"b"}'
    made = bridged(EDITS, body, read(EDITS, body), "gpt-4o")
    assert made is not None
    edit = json.loads(await told(await made.answered(Stored(200, JSON, [answer("x")], 9))))
    assert (edit["object"], edit["choices"]) == ("edit", [{"text": "x", "index": 0}])


@pytest.mark.parametrize("status", [400, 404, 429, 500])
async def test_an_error_is_handed_on_as_it_is(status: int) -> None:
    error = Stored(status, JSON, [b'{"error":{"message":"no"}}'], 26, failed=True)
    assert await ask().answered(error) is error


def part(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}], "usage": None}


USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
STREAM: list[Any] = [part("He"), part("llo"), part("", "stop"), USAGE, "[DONE]"]


@pytest.mark.parametrize("size", [1, 7, 40, 10_000])
async def test_a_stream_is_turned_however_it_comes(size: int) -> None:
    events = b"".join(map(event, STREAM))
    pieces = [events[at : at + size] for at in range(0, len(events), size)]
    source = await ask().answered(Stored(200, JSON, pieces, None))
    said = (await told(source)).split(b"\n\n")
    assert (source.length, source.stream, source.failed) == (None, True, False)
    assert said[4:] == [b"data: [DONE]", b""]
    chunks = [json.loads(each.removeprefix(b"data: ")) for each in said[:4]]
    assert [one["object"] for one in chunks] == ["text_completion"] * 4
    assert [one["choices"][0]["text"] for one in chunks[:3]] == ["He", "llo", ""]
    assert (chunks[3]["choices"], chunks[3]["usage"]) == ([], USAGE["usage"])


async def test_the_last_event_may_lack_its_blank_line() -> None:
    source = await ask().answered(Stored(200, JSON, [event(part("a")), event(part("b"))[:-1]], None))
    assert (await told(source)).count(b'"object":"text_completion"') == 2


async def test_an_event_that_cannot_be_turned_ends_the_answer() -> None:
    large = event(part("x" * LIMIT))
    source = await ask().answered(Stored(200, JSON, [large], None))
    with pytest.raises(UpstreamProtocolError, match="too large"):
        await told(source)


@pytest.fixture
async def transport(upstream: Scripted) -> AsyncIterator[Transport]:
    made = Transport([Upstream(name="up", base_url=upstream.base_url)], {}, lambda name, outcome: None)
    await made.start()
    yield made
    await made.close()


async def incoming_of(transport: Transport, *, stream: bool) -> Incoming:
    incoming = Incoming(CHAT, await transport.open("up", OUTBOUND), max_answer=2**20, max_entry=2**20)
    await incoming.begin(asked_for_stream=stream)
    return incoming


async def opened(transport: Transport) -> Direct:
    return Direct(await incoming_of(transport, stream=True), show_extra=False)


async def test_a_plain_answer_that_is_read_is_let_go_of(upstream: Scripted, transport: Transport) -> None:
    upstream.plan(plain(200, answer("a")))
    flight = Flights(2**20, 1.0).announce(b"key")
    reader = flight.enter()

    async def call() -> Incoming:
        return await incoming_of(transport, stream=False)

    flight.launch(call, Tasks().spawn)
    source = await ask().answered(Shared(await flight.head(), False, flight, reader))
    assert flight.readers == 0
    assert b'"text":"a"' in await told(source)


async def test_usage_that_nobody_asked_for_is_not_shown(upstream: Scripted, transport: Transport) -> None:
    upstream.plan(sse(STREAM[:-1]))
    source = await ask().answered(await opened(transport))
    said = await told(source)
    assert b"completion_tokens" not in said
    assert said.endswith(b"data: [DONE]\n\n")
    source.close()


async def test_a_stream_that_breaks_off_breaks_off(upstream: Scripted, transport: Transport) -> None:
    upstream.plan(sse(STREAM[:1], end="cut"))
    source = await ask().answered(await opened(transport))
    assert isinstance(source, Turned)
    pieces = source.pieces()
    assert b'"text":"He"' in await anext(pieces)
    with pytest.raises(UpstreamProtocolError):
        await anext(pieces)
    source.close()


async def test_who_leaves_lets_go_of_the_upstream(upstream: Scripted, transport: Transport) -> None:
    upstream.plan(sse([part("He")], end="hang"))
    source = await ask().answered(await opened(transport))
    pieces = source.pieces()
    async with asyncio.timeout(PATIENCE):
        assert b"He" in await anext(pieces)
        await pieces.aclose()
        source.close()
        await upstream.disconnected()
