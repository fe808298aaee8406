"""Requests of every kind that costs something, drawn at random, and what each has to leave in the ledger."""

import asyncio
import contextlib
import io
import json
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import pytest

from gateway.policy.ledger import Row
from tests import scripted
from tests.running import KEY, Running
from tests.scripted import Answer, Scripted, Seen, Wire, close_now, early, raw, sse
from tests.waiting import until

PROOF = bool(os.environ.get("GATEWAY_PROOF"))
SEEDS = range(40) if PROOF else range(2)
ROUNDS, AT_ONCE = 25, 8
IN, OUT = 1_000, 2_000  # nano-dollars per token of every model here
FEE = 250_000_000
MOST_UPLOAD = 2**21

KEYS = {
    "test": KEY,
    "free": "sk-gw-free-0123456789abcdef",
    "broke": "sk-gw-broke-0123456789abcdef",
    "shadow": "sk-gw-shadow-0123456789abcdef",
    "single": "sk-gw-single-0123456789abcdef",
}
LIMITS = '["$1000/total", "100M requests/total", "900M tokens/total", "50 concurrent"]'
TOML = """
[endpoints]
allow = ["all"]
unknown = "forward"
[models]
retired = "redirect"
[models.aliases]
"m-renamed" = "m-transcribe-by-another-name"
[[keys]]
name = "free"
secret = "env:FREE"
[[keys]]
name = "broke"
secret = "env:BROKE"
limits = ["$0.000001/total", "1M requests/total"]
[[keys]]
name = "shadow"
secret = "env:SHADOW"
limits = [{ limit = "$0.000001/total", mode = "shadow" }]
[[keys]]
name = "single"
secret = "env:SINGLE"
limits = ["1 concurrent", "$1000/total", "100M requests/total"]
[prices.operations]
"batches.create" = 0.25
"videos.create" = 0.25
"live.connect" = 0.25
[prices.models."m-*"]
input = 1
output = 2
input_audio = 1
output_audio = 2
input_image = 1
output_image = 2
[prices.models."gpt-*"]
input = 1
output = 2
input_audio = 1
output_audio = 2
[prices.models."m-sold-by-the-piece"]
input = 0
output = 0
request = 0.01
"""

NOTHING = {"settled": "none", "input": 0, "output": 0, "cost": 0, "saved": 0}
BOUNDARY = "frontier"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
END = f"--{BOUNDARY}--\r\n".encode()
Given = dict[str, Any]


def form(*parts: tuple[str, str | bytes]) -> bytes:
    """Texts are fields, bytes are files."""
    return b"".join(map(_part, parts)) + END


def _part(part: tuple[str, str | bytes]) -> bytes:
    name, value = part
    file = "" if isinstance(value, str) else '; filename="a.bin"'
    said = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return said.encode() + (value.encode() if isinstance(value, str) else value) + b"\r\n"


def usage_of(into: int, out: int) -> Given:
    return {"input_tokens": into, "output_tokens": out, "total_tokens": into + out}


def chat_usage(into: int, out: int) -> Given:
    return {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}


def paid(into: int, out: int) -> Given:
    cost = into * IN + out * OUT
    return {"settled": "usage", "input": into, "output": out, "cost": cost, "status": 200, "error": None}


class Mixture(Scripted):
    """An upstream that answers a case, named in the query, as was planned for it."""

    def __init__(self) -> None:
        super().__init__()
        self.planned: dict[str, list[Answer]] = {}
        self.seen: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.billed = 0  # tokens that were stated in whole answers

    def next_answer(self, seen: Seen) -> Answer:
        _, _, case = seen.path.partition("case=")
        planned = self.planned[case.partition("&")[0]]
        answer = planned.pop(0) if len(planned) > 1 else planned[0]

        async def send(seen: Seen, wire: Wire) -> None:
            self.seen[case].set()
            await answer.send(seen, wire)

        return Answer(send, early=answer.early)


class Clients:
    """Who sends the cases, and what each of them must leave behind."""

    def __init__(self, gateway: Running, upstream: Mixture, dice: random.Random) -> None:
        self.gateway, self.upstream, self.dice = gateway, upstream, dice
        self.expected: dict[str, list[Given]] = defaultdict(list)
        self._number = 0
        self.kinds = [getattr(self, name) for name in dir(self) if name.startswith("case_")]

    async def any_case(self) -> None:
        await self.dice.choice(self.kinds)()

    def plan(self, *answers: Answer) -> str:
        self._number += 1
        self.upstream.planned[f"{self._number}"] = list(answers)
        return f"{self._number}"

    def used(self, into: int = 3_000, out: int = 500) -> tuple[int, int]:
        """What the upstream bills."""
        drawn = self.dice.randrange(1, into), self.dice.randrange(out)
        self.upstream.billed += sum(drawn)
        return drawn

    def expect(self, case: str, *fields: Given, **more: Any) -> None:
        merged: Given = {}
        for each in (*fields, more):
            merged |= each
        self.expected[case].append(merged)

    def headers(self, case: str, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEYS[key]}", "x-gateway-tags": f"case={case}"}

    async def ask(
        self,
        case: str,
        path: str,
        body: Any = None,
        *,
        key: str = "test",
        method: str = "POST",
        query: str = "",
    ) -> tuple[int, Any, bytes]:
        """Status, headers and what came of the body."""
        headers = self.headers(case, key)
        given: Given = {"json": body} if isinstance(body, dict) else {"data": io.BytesIO(body or b"")}
        if isinstance(body, bytes):
            headers["Content-Type"] = FORM
        url = f"{self.gateway.url}{path}?case={case}{query}"
        async with self.gateway.session.request(method, url, headers=headers, **given) as answer:
            came = b""
            with contextlib.suppress(aiohttp.ClientPayloadError):
                came = await answer.read()
            return answer.status, answer.headers, came

    async def leave(self, case: str, *asked: Any, **more: Any) -> None:
        """Ask, and hang up when the upstream has the question."""
        asking = asyncio.create_task(self.ask(case, *asked, **more))
        await self.upstream.seen[case].wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    async def send_part(self, case: str, path: str, body: bytes, part: int, *, asked: bool = True) -> None:
        """Send only a part of a form, and hang up in the middle; `asked`: when an upstream has been."""
        port = self.gateway.app.listeners.public_port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = [f"POST {path}?case={case} HTTP/1.1", "Host: a", f"Content-Type: {FORM}"]
        lines += [f"{name}: {value}" for name, value in self.headers(case, "test").items()]
        writer.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body[:part])
        live = self.gateway.gateway.telemetry._live
        await until(lambda: any(e.tags.get("case") == case and (e.dispatched or not asked) for e in live))
        for _ in range(self.dice.randrange(30)):
            await asyncio.sleep(0)
        writer.transport.abort()

    def transcription(self, *more: tuple[str, str | bytes], model: str = "m-transcribe") -> bytes:
        return form(("model", model), *more, ("file", self.dice.randbytes(self.dice.choice([9, 9_000]))))

    # ---- uploads that are answered ----

    async def case_transcription(self) -> None:
        used = self.used()
        case = self.plan(
            scripted.json(200, {"text": "so said", "usage": {"type": "tokens", **usage_of(*used)}})
        )
        model = self.dice.choice(["m-transcribe", "m-renamed"])
        path = self.dice.choice(["transcriptions", "translations"])
        await self.ask(case, f"/v1/audio/{path}", self.transcription(model=model))
        self.expect(case, paid(*used), endpoint=f"audio.{path}.create", model=model)

    async def case_transcription_as_a_stream(self) -> None:
        used = self.used()
        done = {
            "type": "transcript.text.done",
            "text": "so said",
            "usage": {"type": "tokens", **usage_of(*used)},
        }
        case = self.plan(sse([{"type": "transcript.text.delta", "delta": "so"}, done], end="clean"))
        await self.ask(case, "/v1/audio/transcriptions", self.transcription(("stream", "true")))
        self.expect(case, paid(*used))

    async def case_transcription_by_the_second(self) -> None:
        case = self.plan(scripted.json(200, {"text": "so", "usage": {"type": "duration", "seconds": 30}}))
        await self.ask(case, "/v1/audio/transcriptions", self.transcription())
        self.expect(case, status=200, settled="estimate", input=300, cost=lambda nano: nano > 300 * IN)

    async def case_transcription_sold_by_the_piece(self) -> None:
        case = self.plan(scripted.json(200, {"text": "so"}))
        await self.ask(case, "/v1/audio/transcriptions", self.transcription(model="m-sold-by-the-piece"))
        self.expect(case, status=200, settled="estimate", cost=10_000_000)

    async def case_image_edit(self) -> None:
        used = self.used(out=20_000)
        pictures = ("image", self.dice.randbytes(self.dice.choice([99, 300_000])))
        fields = [("model", "m-image"), ("n", "3"), ("prompt", "a lamp")]
        self.dice.shuffle(fields)
        at = self.dice.randrange(4)
        case = self.plan(scripted.json(200, {"data": [], "usage": usage_of(*used)}))
        status, _, _ = await self.ask(case, "/v1/images/edits", form(*fields[:at], pictures, *fields[at:]))
        self.expect(case, paid(*used), endpoint="images.edit")
        assert status == 200

    async def case_image_edit_as_a_stream(self) -> None:
        first, second = self.used(), self.used()
        events = [
            {"type": "image_edit.completed", "b64_json": "A" * 90_000, "usage": usage_of(*used)}
            for used in (first, second)
        ]
        case = self.plan(sse(events, end="clean"))
        body = form(("model", "m-image"), ("n", "2"), ("stream", "true"), ("prompt", "a"), ("image", b"x"))
        await self.ask(case, "/v1/images/edits", body)
        self.expect(case, paid(first[0] + second[0], first[1] + second[1]))

    async def case_images(self) -> None:
        used = self.used(into=30, out=30_000)
        case = self.plan(scripted.json(200, {"data": [], "usage": usage_of(*used)}))
        body = {"model": "m-image", "prompt": "a lamp " * 30, "n": 4, "size": "1024x1024"}
        await self.ask(case, "/v1/images/generations", body)
        self.expect(case, paid(*used))

    async def case_a_file_and_what_is_in_it(self) -> None:
        name = f"file-{self._number}"
        content = self.dice.randbytes(99_999)
        case = self.plan(
            scripted.json(200, {"id": name, "object": "file"}),
            scripted.json(200, content, [("Content-Type", "application/octet-stream")]),
        )
        await self.ask(case, "/v1/files", form(("purpose", "batch"), ("file", content)))
        self.expect(case, NOTHING, status=200, endpoint="files.create")
        _, _, came = await self.ask(case, f"/v1/files/{name}/content", method="GET")
        self.expect(case, NOTHING, status=200, endpoint="files.content")
        assert came == content

    # ---- uploads that are not whole ----

    async def case_upload_left_in_the_middle(self) -> None:
        kind, body = self.dice.choice(
            [
                ("audio/transcriptions", form(("model", "m-transcribe"), ("file", bytes(700_000)))),
                ("files", form(("purpose", "batch"), ("file", bytes(700_000)))),
            ]
        )
        case = self.plan(close_now)
        await self.send_part(case, f"/v1/{kind}", body, len(body) - self.dice.randrange(1, 90_000))
        self.expect(case, NOTHING, status=499, error=None)

    async def case_upload_of_pictures_left_in_the_middle(self) -> None:
        """Nothing was sent: how many are made, and whose they are, is not known before its end."""
        path, name = self.dice.choice([("images/edits", "image"), ("videos", "input_reference")])
        body = form(("model", "m-image"), ("prompt", "a"), (name, bytes(400_000)))
        case = self.plan(close_now)
        await self.send_part(case, f"/v1/{path}", body, len(body) - 1, asked=False)
        self.expect(case, NOTHING, status=499, error=None, upstream=None)

    async def case_upload_that_is_malformed_at_its_end(self) -> None:
        body = form(("model", "m-transcribe"), ("file", bytes(600_000)), ("model", "m-other"))
        case = self.plan(close_now)
        status, _, _ = await self.ask(case, "/v1/audio/transcriptions", body)
        self.expect(case, NOTHING, status=400, error="duplicate_key", upstream="scripted")
        assert status == 400

    async def case_upload_that_is_too_large(self) -> None:
        body = form(("model", "m-transcribe"), ("file", bytes(MOST_UPLOAD)))

        async def chunks() -> AsyncIterator[bytes]:
            for at in range(0, len(body), 2**16):
                yield body[at : at + 2**16]

        case = self.plan(close_now)
        headers = self.headers(case, "test") | {"Content-Type": FORM}
        url = f"{self.gateway.url}/v1/audio/transcriptions?case={case}"
        given = chunks() if self.dice.random() < 0.5 else io.BytesIO(body)
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with self.gateway.session.post(url, data=given, headers=headers) as answer:
                assert answer.status == 413
        self.expect(case, NOTHING, status=413, error="request_too_large")

    async def case_upload_answered_early(self) -> None:
        used = self.used()
        body = form(("model", "m-transcribe"), ("file", bytes(900_000)))
        said = json.dumps({"text": "so", "usage": usage_of(*used)}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        case = self.plan(early(raw(head + b"Content-Length: %d\r\n\r\n" % len(said) + said, end="close")))
        await self.ask(case, "/v1/audio/transcriptions", body)
        self.expect(case, paid(*used))

    async def case_upload_refused_early(self) -> None:
        body = form(("model", "m-transcribe"), ("file", bytes(900_000)))
        refusal = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
        case = self.plan(early(raw(refusal, end="close")))
        await self.ask(case, "/v1/audio/transcriptions", body)
        self.expect(case, NOTHING, status=413, error=None)

    async def case_upload_whose_client_leaves_before_the_answer(self) -> None:
        case = self.plan(raw(asyncio.Event()))
        await self.leave(case, "/v1/audio/transcriptions", self.transcription())
        self.expect(case, status=499, settled="estimate", output=0, input=16_000)

    async def case_upload_whose_client_leaves_in_the_answer(self) -> None:
        """It was begun with its length: the usage is waited for."""
        used = self.used()
        said = json.dumps({"text": "so", "usage": usage_of(*used)}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(said)
        gone = asyncio.Event()
        case = self.plan(raw(head + said[:9], gone, said[9:]))
        headers = self.headers(case, "test") | {"Content-Type": FORM}
        url = f"{self.gateway.url}/v1/audio/transcriptions?case={case}"
        answer = await self.gateway.session.post(url, data=self.transcription(), headers=headers)
        await answer.content.readexactly(9)
        answer.close()
        gone.set()
        self.expect(case, paid(*used))

    # ---- what has no tokens ----

    async def case_fee(self) -> None:
        key, status = self.dice.choice(["test", "free", "shadow"]), self.dice.choice([200, 200, 400, 500])
        case = self.plan(scripted.json(status, {"id": f"batch_{self._number}"}))
        told, headers, _ = await self.ask(case, "/v1/batches", {"input_file": "x"}, key=key)
        self.expect(case, NOTHING, cost=FEE if status == 200 else 0, status=status, endpoint="batches.create")
        assert (told, headers["x-gateway-cost"]) == (status, "0.25" if status == 200 else "0")

    async def case_fee_of_a_form(self) -> None:
        case = self.plan(scripted.json(200, {"id": f"video_{self._number}"}))
        body = form(("model", "m-video"), ("prompt", "a"), ("input_reference", bytes(9_000)))
        await self.ask(case, "/v1/videos", body)
        self.expect(case, NOTHING, cost=FEE, status=200, model="m-video")

    async def case_fee_where_nobody_answers(self) -> None:
        case = self.plan(close_now)
        await self.ask(case, "/v1/batches", {"input_file": "x"})
        self.expect(case, NOTHING, cost=FEE, status=502, error="upstream_protocol_error")

    async def case_fee_whose_client_leaves(self) -> None:
        case = self.plan(raw(asyncio.Event()))
        await self.leave(case, "/v1/batches", {"input_file": "x"})
        self.expect(case, NOTHING, cost=FEE, status=499)

    async def case_fee_above_the_budget(self) -> None:
        case = self.plan(close_now)
        status, _, _ = await self.ask(case, "/v1/batches", {"input_file": "x"}, key="broke")
        self.expect(case, NOTHING, status=429, error="insufficient_quota", upstream=None)
        assert status == 429

    async def case_fee_that_nobody_knows(self) -> None:
        key = self.dice.choice(["test", "free", "shadow"])
        case = self.plan(scripted.json(200, {"id": f"container_{self._number}"}))
        await self.ask(case, "/v1/containers", {"name": "x"}, key=key)
        if key == "test":
            self.expect(case, NOTHING, status=400, error="feature_not_priced", upstream=None)
        else:
            self.expect(case, NOTHING, status=200, cost=None)

    async def case_free(self) -> None:
        case = self.plan(scripted.json(200, {"id": f"vs_{self._number}"}))
        await self.ask(case, "/v1/vector_stores", {"name": "x"}, key=self.dice.choice(["test", "broke"]))
        self.expect(case, NOTHING, status=200, endpoint="vector_stores.create")

    async def case_list_of_several_pages(self) -> None:
        pages = [
            scripted.json(
                200, {"object": "list", "data": [{"id": f"file-of-others-{number}"}], "has_more": more}
            )
            for number, more in ((1, True), (2, True), (3, False))
        ]
        case = self.plan(*pages)
        _, _, came = await self.ask(case, "/v1/files", method="GET")
        self.expect(case, NOTHING, status=200, endpoint="files.list")
        assert json.loads(came)["data"] == []

    async def case_unknown(self) -> None:
        case = self.plan(scripted.json(200, {"usage": usage_of(9, 9)}))
        await self.ask(case, "/v1/brand/new", {"model": "x"})
        self.expect(case, NOTHING, status=200, endpoint="unknown")

    async def case_redirect(self) -> None:
        head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        case = self.plan(raw(head))
        await self.ask(case, "/v1/vector_stores", {"name": "x"})
        self.expect(case, NOTHING, status=502, error="upstream_redirect")

    # ---- speech ----

    async def case_speech(self) -> None:
        case = self.plan(scripted.json(200, b"ID3" * 9_000, [("Content-Type", "audio/mpeg")]))
        body = {"model": "m-speech", "voice": "alloy", "input": "Hello there, lamp."}
        _, _, came = await self.ask(case, "/v1/audio/speech", body)
        self.expect(case, status=200, settled="estimate", output=lambda tokens: tokens > 0)
        assert len(came) == 27_000

    async def case_speech_as_a_stream(self) -> None:
        used = self.used(into=20, out=400)
        done = {"type": "speech.audio.done", "usage": usage_of(*used)}
        case = self.plan(sse([{"type": "speech.audio.delta", "audio": "AAAA" * 9_000}, done], end="clean"))
        body = {"model": "m-speech", "voice": "alloy", "input": "lamp " * 40, "stream_format": "sse"}
        await self.ask(case, "/v1/audio/speech", body)
        self.expect(case, paid(*used))

    async def case_speech_that_is_cut(self) -> None:
        case = self.plan(
            raw(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 99\r\n\r\nID3", end="close")
        )
        await self.ask(
            case, "/v1/audio/speech", {"model": "m-speech", "voice": "alloy", "input": "Hello there."}
        )
        self.expect(case, status=200, settled="estimate", error="upstream_protocol_error")

    # ---- old operations ----

    def chat(self, *usages: tuple[int, int]) -> list[Answer]:
        return [scripted.chat(usage=chat_usage(*used)) for used in usages]

    def prompts(self, count: int) -> list[str]:
        return [f"{self._number}-{number} " + "lamp " * 3_000 for number in range(count)]

    async def case_bridged(self) -> None:
        used = self.used()
        case = self.plan(*self.chat(used))
        (prompt,) = self.prompts(1)
        path, model = self.dice.choice(
            [("/v1/completions", "gpt-4o-mini"), ("/v1/engines/gpt-4o-mini/completions", None)]
        )
        body = {"prompt": prompt, "max_tokens": 500} | ({"model": model} if model else {})
        await self.ask(case, path, body)
        self.expect(case, paid(*used), endpoint="completions", sent="gpt-4o-mini")

    async def case_edit(self) -> None:
        used = self.used()
        case = self.plan(*self.chat(used))
        (prompt,) = self.prompts(1)
        await self.ask(
            case, "/v1/edits", {"model": "gpt-4o-mini", "input": prompt, "instruction": "Mend it."}
        )
        self.expect(case, paid(*used), endpoint="edits")

    async def case_several_prompts(self) -> None:
        usages = [self.used() for _ in range(3)]
        case = self.plan(*self.chat(*usages))
        body = {"model": "gpt-4o-mini", "prompt": self.prompts(3), "max_tokens": 500}
        status, headers, came = await self.ask(case, "/v1/completions", body)
        assert (status, len(json.loads(came)["choices"])) == (200, 3)
        total = 0
        for used in usages:
            self.expect(case, paid(*used), endpoint="completions", cache="miss")
            total += paid(*used)["cost"]
        assert float(headers["x-gateway-cost"]) == pytest.approx(total / 10**9)

    async def case_several_prompts_as_a_stream(self) -> None:
        usages = [self.used() for _ in range(3)]
        answers = [
            sse(
                [
                    {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]},
                    {"choices": [], "usage": chat_usage(*used)},
                ]
            )
            for used in usages
        ]
        case = self.plan(*answers)
        body = {"model": "gpt-4o-mini", "prompt": self.prompts(3), "max_tokens": 500, "stream": True}
        await self.ask(case, "/v1/completions", body)
        for used in usages:
            self.expect(case, paid(*used), endpoint="completions")

    async def case_several_prompts_some_of_them_cached(self) -> None:
        used = self.used()
        case = self.plan(*self.chat(used))
        (prompt,) = self.prompts(1)
        body = {"model": "gpt-4o-mini", "prompt": [prompt] * 3, "max_tokens": 500}
        await self.ask(case, "/v1/completions", body)
        self.expect(case, paid(*used), cache="miss")
        for _ in range(2):
            self.expect(case, NOTHING, cache="hit", saved=paid(*used)["cost"], status=200)

    async def case_several_prompts_of_which_one_fails(self) -> None:
        used = self.used()
        failure = scripted.json(500, {"error": {"message": "no"}})
        case = self.plan(*self.chat(used), failure)
        body = {"model": "gpt-4o-mini", "prompt": self.prompts(3), "max_tokens": 500}
        status, _, _ = await self.ask(case, "/v1/completions", body)
        self.expect(case, paid(*used))
        self.expect(case, NOTHING, status=500)
        assert status == 500

    async def case_several_prompts_whose_client_leaves(self) -> None:
        used = self.used()
        waiting = asyncio.Event()
        second = asyncio.Event()

        async def send(seen: Seen, wire: Wire) -> None:
            second.set()
            await waiting.wait()

        case = self.plan(*self.chat(used), Answer(send))
        body = {"model": "gpt-4o-mini", "prompt": self.prompts(3), "max_tokens": 500}
        asking = asyncio.create_task(self.ask(case, "/v1/completions", body))
        await second.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        self.expect(case, paid(*used))
        self.expect(case, status=499, settled="estimate", output=0)

    async def case_retired(self) -> None:
        used = self.used()
        case = self.plan(*self.chat(used))
        (prompt,) = self.prompts(1)
        said = [{"role": "user", "content": prompt}]
        await self.ask(
            case, "/v1/chat/completions", {"model": "gpt-3.5-turbo-0301", "messages": said, "max_tokens": 500}
        )
        self.expect(
            case, paid(*used), model="gpt-3.5-turbo-0301", sent=lambda name: name != "gpt-3.5-turbo-0301"
        )

    async def case_azure(self) -> None:
        used = self.used()
        case = self.plan(*self.chat(used))
        (prompt,) = self.prompts(1)
        path = "/openai/deployments/gpt-4o-mini/chat/completions"
        body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 500}
        await self.ask(case, path, body, query="&api-version=2026-01-01")
        self.expect(case, paid(*used), endpoint="chat.completions", model="gpt-4o-mini")

    async def case_stored(self) -> None:
        used = self.used()
        name = f"resp_{self._number}"
        whole = {
            "id": name,
            "object": "response",
            "status": "completed",
            "output": [],
            "usage": usage_of(*used),
        }
        case = self.plan(scripted.json(200, whole))
        (prompt,) = self.prompts(1)
        body = {"model": "gpt-4o-mini", "input": prompt, "max_output_tokens": 500, "store": True}
        await self.ask(case, "/v1/responses", body)
        self.expect(case, paid(*used), endpoint="responses")
        await self.ask(case, f"/v1/responses/{name}", method="GET")
        self.expect(case, NOTHING, status=200, endpoint="responses.retrieve")


def held_enough(leases: Sequence[Row], written: Sequence[Row]) -> None:
    """What the store was told before the upstream was asked is never less than what became of it."""
    heard = {row.id: row for row in written}
    for lease in leases:
        row = heard[lease.id]
        assert lease.settled == "lease"
        if lease.cost is not None:
            assert lease.cost >= (row.cost or 0), (lease, row)
        assert lease.input >= row.input, (lease, row)
        assert lease.output >= row.output, (lease, row)
