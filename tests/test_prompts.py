"""Several prompts, served one by one: what the client sees of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.exchange import ClientGone, Exchange, Headers
from gateway.policy.endpoints import find
from gateway.policy.facts import read
from gateway.prompts import Joined, first_of, following
from tests.exchanges import ended

COMPLETIONS, _ = find("POST", "/v1/completions")
DONE = b"data: [DONE]\n\n"


@dataclass
class Client:
    """A client's end that notes what it is given; `patience` writes later it has gone."""

    patience: int = 1000
    head: tuple[int, dict[str, str], int | None] | None = None
    body: bytes = b""
    end: str = ""
    writes: list[bytes] = field(default_factory=list)

    async def start(self, status: int, headers: Headers, length: int | None) -> None:
        assert self.head is None
        self.head = status, dict(headers), length

    async def write(self, data: bytes) -> None:
        if len(self.writes) == self.patience:
            raise ClientGone
        self.writes.append(data)
        self.body += data

    async def finish(self) -> None:
        assert self.end == ""
        self.end = "finished"

    def close_after(self) -> None:
        self.end = ""

    def abort(self) -> None:
        self.end = "cut"


async def give(joined: Joined, status: int, headers: dict[str, str], *data: bytes, stream: bool) -> None:
    """One answer, as the line gives it."""
    await joined.start(status, list(headers.items()), None if stream else sum(map(len, data)))
    for each in data:
        await joined.write(each)
    await joined.finish()


def body(*texts: str) -> bytes:
    choices = [{"text": text, "index": index} for index, text in enumerate(texts)]
    return json.dumps({"id": "c", "choices": choices, "usage": {"total_tokens": 5}}).encode()


def event(text: str, index: int = 0) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"text": text, "index": index}]}).encode()


def asked(prompt: Any, **fields: Any) -> Exchange:
    given = {"model": "davinci", "prompt": prompt, **fields}
    return ended(
        "completions", body=json.dumps(given).encode(), downstream=Client(), path_args={"engine": "x"}
    )


def first(exchange: Exchange, model: str = "gpt-4o") -> bytes | None:
    return first_of(exchange, read(COMPLETIONS, exchange.body), model)


def joined_of(client: Client, prompts: int, each: int = 1) -> Joined:
    return Joined(client, "req_1", [b""] * prompts, each)


def test_prompts_are_parted_for_models_that_only_chat() -> None:
    exchange = asked(["a", "b", "c"], n=2)
    body = first(exchange)
    joined = exchange.downstream
    assert isinstance(joined, Joined)
    assert [json.loads(each)["prompt"] for each in joined.bodies] == ["a", "b", "c"]
    assert (body, joined.each, joined.over) == (joined.bodies[0], 2, False)


@pytest.mark.parametrize(
    ("exchange", "model"),
    [(asked("a"), "gpt-4o"), (asked(["a"]), "gpt-4o"), (asked(["a", "b"]), "gpt-3.5-turbo-instruct")],
)
def test_all_else_is_one_request(exchange: Exchange, model: str) -> None:
    assert first(exchange, model) is None
    assert isinstance(exchange.downstream, Client)
    assert first(ended("chat.completions", body=exchange.body)) is None
    assert following(exchange, 7.5, 99) is None


async def test_each_prompt_is_a_request_of_its_own() -> None:
    exchange = asked(["a", "b", "c"])
    first(exchange)
    joined = exchange.downstream
    assert isinstance(joined, Joined)
    assert following(exchange, 7.5, 99) is None  # the first has not been answered
    last = exchange
    for number in (1, 2):
        await give(joined, 200, {}, body("x"), stream=False)
        made = following(last, 7.5, 99)
        assert made is not None
        assert (made.id, made.started, made.arrived) == (f"req_1.{number}", 7.5, 99)
        assert await made.read_body() == joined.bodies[number]
        assert made.downstream is joined
        assert (made.endpoint, made.path_args, made.client) == (COMPLETIONS, {"engine": "x"}, None)
        last = made
    await give(joined, 200, {}, body("x"), stream=False)
    assert following(last, 7.5, 99) is None


async def test_plain_answers_are_one() -> None:
    client = Client()
    joined = joined_of(client, 2, 2)
    head = {"content-type": "application/json", "x-gateway-cost": "0.00012", "x-gateway-cache": "hit"}
    await give(joined, 200, head, body("a", "b"), stream=False)
    assert (client.head, joined.over) == (None, False)
    last = {**head, "x-gateway-cost": "0.0000001", "x-gateway-cache": "miss", "x-request-id": "r"}
    await give(joined, 200, last, body("c", "d"), stream=False)
    assert client.head == (200, {**last, "x-gateway-cost": "0.0001201"}, len(client.body))
    said = json.loads(client.body)
    assert [(choice["index"], choice["text"]) for choice in said["choices"]] == [*enumerate("abcd")]
    assert said["usage"] == {"total_tokens": 10}
    assert (client.end, joined.over) == ("finished", True)


async def test_streams_are_one() -> None:
    client = Client()
    joined = joined_of(client, 2, 1)
    head = {"content-type": "text/event-stream"}
    await give(joined, 200, head, event("a")[:9], event("a")[9:] + DONE, stream=True)
    assert (client.head, client.end) == ((200, head, None), "")
    await give(joined, 200, head, event("b"), DONE[:-1], stream=True)
    events = client.body.split(b"\n\n")
    assert [json.loads(each[6:])["choices"][0]["index"] for each in events[:2]] == [0, 1]
    assert events[2:] == [b"data: [DONE]\n"]
    assert (client.end, joined.over) == ("finished", True)


@pytest.mark.parametrize("before", [0, 1])
async def test_an_error_is_the_answer(before: int) -> None:
    client = Client()
    joined = joined_of(client, 3, 1)
    for _ in range(before):
        await give(joined, 200, {}, body("a"), stream=False)
    await give(joined, 429, {"retry-after": "3"}, b'{"error":', b"{}}", stream=False)
    assert client.head == (429, {"retry-after": "3"}, 12)
    assert (client.body, client.end, joined.over) == (b'{"error":{}}', "finished", True)


async def test_an_error_in_a_stream_that_has_begun_is_told_and_the_stream_is_cut() -> None:
    client = Client()
    joined = joined_of(client, 2, 1)
    await give(joined, 200, {}, event("a"), DONE, stream=True)
    await give(joined, 429, {}, b'{"error":\n {"code":"x"}}', stream=False)
    *_, told, rest = client.body.split(b"\n\n")
    assert rest == b""
    assert json.loads(told.replace(b"data: ", b"")) == {"error": {"code": "x"}}
    assert (client.end, joined.over) == ("cut", True)


async def test_a_stream_that_is_cut_is_cut() -> None:
    client = Client()
    joined = joined_of(client, 2, 1)
    await joined.start(200, [], None)
    await joined.write(event("a"))
    await joined.write(b'data: {"error":{}}\n\n')
    joined.abort()
    assert client.body.endswith(b'data: {"error":{}}\n\n')
    assert (client.end, joined.over) == ("cut", True)


async def test_nothing_follows_for_a_client_that_has_gone() -> None:
    joined = joined_of(Client(patience=0), 2, 1)
    await joined.start(200, [], None)
    with pytest.raises(ClientGone):
        await joined.write(event("a"))
    assert joined.over


@pytest.mark.parametrize("costs", [[None, "0.1"], ["0.1", None]])
async def test_a_cost_that_is_not_known_is_not_told(costs: Sequence[str | None]) -> None:
    client = Client()
    joined = joined_of(client, 2, 1)
    for cost in costs:
        await give(joined, 200, {} if cost is None else {"x-gateway-cost": cost}, body("a"), stream=False)
    assert client.head is not None
    assert "x-gateway-cost" not in client.head[1]
