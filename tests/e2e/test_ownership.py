"""Two teams on one account: each has its own files, responses, batches, …, and the other's do not exist."""

import json
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.conftest import Start
from tests.keeper import Keeper
from tests.running import KEY, Running
from tests.scripted import Scripted
from tests.scripted import json as reply

ALL = '[endpoints]\nallow = ["all"]\n'


@dataclass
class Team:
    """One of those who share the account."""

    gateway: Running
    key: str

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any, dict[str, str]]:
        headers = {"Authorization": f"Bearer {self.key}"}
        how: dict[str, Any] = {"data": body} if isinstance(body, aiohttp.FormData) else {"json": body}
        url = f"{self.gateway.url}/v1{path}"
        async with self.gateway.session.request(method, url, headers=headers, **how) as answer:
            text = await answer.text()
            names = {name.lower(): value for name, value in answer.headers.items()}
            kind = names.get("content-type", "")
            return answer.status, json.loads(text) if "json" in kind else text, names

    async def make(self, path: str, body: Any = None) -> str:
        status, made, _ = await self.call("POST", path, body if body is not None else {})
        assert status == 200, made
        return str(made["id"])

    async def upload(self) -> str:
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        form.add_field("file", b"{}\n", filename="lines.jsonl")
        return await self.make("/files", form)

    async def listed(self, path: str, size: int = 20) -> list[str]:
        """Turning pages as OpenAI's libraries do."""
        ids: list[str] = []
        after = ""
        while True:
            query = f"?limit={size}" + (f"&after={after}" if after else "")
            status, page, _ = await self.call("GET", path + query)
            assert status == 200
            ids += [each["id"] for each in page["data"]]
            if not (page["has_more"] and page["data"]):
                return ids
            after = page["data"][-1]["id"]


@dataclass
class Shared:
    gateway: Running
    keeper: Keeper
    upstream: Scripted
    ours: Team
    theirs: Team

    async def key(self, **fields: Any) -> Team:
        async with self.gateway.admin("POST", "/admin/v1/keys", {"name": "k"} | fields) as made:
            assert made.status == 201, await made.text()
            return Team(self.gateway, (await made.json())["key"])


@pytest.fixture
async def shared(start: Start, upstream: Scripted) -> Shared:
    keeper = Keeper()
    upstream.plan(keeper.answer())
    gateway = await start(ALL)
    async with gateway.admin("POST", "/admin/v1/teams", {"name": "other"}) as made:
        assert made.status == 201
    shared = Shared(gateway, keeper, upstream, Team(gateway, KEY), Team(gateway, KEY))
    shared.theirs = await shared.key(team="other")
    return shared


RESPONSE = {"model": "gpt-4o-mini", "input": "hi"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/responses", RESPONSE),
        ("/vector_stores", {"name": "ours"}),
        ("/threads", {}),
        ("/batches", {"endpoint": "/v1/responses", "completion_window": "24h"}),
        ("/assistants", {"model": "gpt-4o-mini"}),
        ("/chat/completions", {"model": "gpt-4o-mini", "messages": [], "store": True}),
    ],
)
async def test_what_one_team_made_is_not_there_for_the_other(shared: Shared, path: str, body: Any) -> None:
    if path == "/batches":
        body = body | {"input_file_id": await shared.ours.upload()}
    made = await shared.ours.make(path, body)
    mate = await shared.key(team="research")
    for team in (shared.ours, mate):
        assert (await team.call("GET", f"{path}/{made}"))[0] == 200
    asked = shared.upstream.calls
    answers = [await shared.theirs.call(method, f"{path}/{made}") for method in ("GET", "DELETE", "GET")
               if (method, path) != ("DELETE", "/batches")]  # fmt: skip
    never = await shared.theirs.call("GET", f"{path}/never-made")
    assert {status for status, _, _ in (*answers, never)} == {404}
    assert json.dumps(answers[0][1]).replace(made, "X") == json.dumps(never[1]).replace("never-made", "X")
    assert answers[0][2]["x-gateway-error"] == "not_found"
    assert answers[0][1]["error"]["code"] is None
    assert shared.upstream.calls == asked, "the upstream hears nothing of it"
    assert (await shared.ours.call("GET", f"{path}/{made}"))[0] == 200


async def test_files_and_what_a_batch_writes(shared: Shared) -> None:
    file = await shared.ours.upload()
    batch = {"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"}
    _, made, _ = await shared.ours.call("POST", "/batches", batch)
    output = made["output_file_id"]
    for name in (file, output):
        assert (await shared.ours.call("GET", f"/files/{name}/content"))[0] == 200
        assert (await shared.theirs.call("GET", f"/files/{name}/content"))[0] == 404
    status, said, _ = await shared.theirs.call("POST", "/batches", batch)
    assert (status, said["error"]["message"]) == (404, f"No such File object: {file}")


async def test_a_response_cannot_be_carried_on_by_somebody_else(shared: Shared) -> None:
    first = await shared.ours.make("/responses", RESPONSE)
    on = RESPONSE | {"previous_response_id": first}
    assert (await shared.ours.call("POST", "/responses", on))[0] == 200
    status, said, _ = await shared.theirs.call("POST", "/responses", on)
    assert (status, said["error"]["code"]) == (400, "previous_response_not_found")
    assert said["error"]["message"] == f"Previous response with id '{first}' not found."


async def test_a_streamed_response_is_ones_own_before_its_stream_has_ended(shared: Shared) -> None:
    status, stream, _ = await shared.ours.call("POST", "/responses", RESPONSE | {"stream": True})
    assert status == 200
    made = json.loads(stream.split("data: ", 1)[1].split("\n", 1)[0])["response"]["id"]
    assert (await shared.ours.call("GET", f"/responses/{made}"))[0] == 200
    assert (await shared.theirs.call("GET", f"/responses/{made}"))[0] == 404


async def test_a_prompt_may_say_any_id(shared: Shared) -> None:
    file = await shared.ours.upload()
    said = RESPONSE | {"input": f'What is "file_id": "{file}"?', "metadata": {"file_id": file}}
    assert (await shared.theirs.call("POST", "/responses", said))[0] == 200


async def test_lists_show_ones_own_alone(shared: Shared) -> None:
    mine: dict[str, list[str]] = {"ours": [], "theirs": []}
    for number in range(24):
        whose = "theirs" if number % 6 == 5 else "ours"
        team = shared.ours if whose == "ours" else shared.theirs
        mine[whose].append(await team.make("/vector_stores", {"name": str(number)}))
    shared.keeper.make("vector_stores", metadata=None)  # on the dashboard: nobody's
    for size in (2, 5, 100):
        assert await shared.ours.listed("/vector_stores", size) == mine["ours"]
        assert await shared.theirs.listed("/vector_stores", size) == mine["theirs"]
    nobody = await shared.key()
    assert await nobody.listed("/vector_stores", 2) == []


async def test_what_is_deleted_is_gone_for_good(shared: Shared) -> None:
    made = await shared.ours.make("/vector_stores", {})
    status, said, _ = await shared.ours.call("DELETE", f"/vector_stores/{made}")
    assert (status, said["deleted"]) == (200, True)
    assert (await shared.ours.call("GET", f"/vector_stores/{made}"))[0] == 404


async def test_what_something_is_taken_out_of_stays_ones_own(shared: Shared) -> None:
    store, file = await shared.ours.make("/vector_stores", {}), await shared.ours.upload()
    assert (await shared.ours.call("DELETE", f"/vector_stores/{store}/files/{file}"))[0] == 200
    for path in (f"/vector_stores/{store}", f"/files/{file}"):
        assert (await shared.ours.call("GET", path))[0] == 200


@pytest.mark.parametrize(
    ("headers", "body"),
    [([("Content-Type", "text/plain")], b'{"data": [{"id": "file-x"}]}'), ([], b'["file-x"]')],
)
async def test_a_list_that_cannot_be_read_is_not_shown(
    shared: Shared, headers: list[tuple[str, str]], body: bytes
) -> None:
    shared.upstream.plan(reply(200, body, headers))
    status, said, _ = await shared.ours.call("GET", "/files")
    assert (status, said["error"]["code"]) == (502, "upstream_protocol_error")


async def test_a_key_without_ownership_sees_everything(shared: Shared) -> None:
    made = await shared.ours.make("/vector_stores", {})
    operator = await shared.key(ownership="off")
    assert (await operator.call("GET", f"/vector_stores/{made}"))[0] == 200
    assert made in await operator.listed("/vector_stores")
    theirs = await operator.make("/vector_stores", {})
    assert (await shared.ours.call("GET", f"/vector_stores/{theirs}"))[0] == 404, (
        "it is its maker's all the same"
    )


async def test_a_tuned_model_is_deleted_by_whoever_trained_it(start: Start, upstream: Scripted) -> None:
    gateway = await start(ALL)
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "theirs"}) as made:
        ours, theirs = Team(gateway, KEY), Team(gateway, (await made.json())["key"])
    upstream.plan(reply(200, {"id": "ftjob-1", "object": "fine_tuning.job", "fine_tuned_model": "ft:m:o::1"}))
    await ours.make("/fine_tuning/jobs", {"model": "gpt-4o-mini"})
    for team, model, status in ((theirs, "ft:m:o::1", 404), (ours, "gpt-4o", 404), (ours, "ft:m:o::1", 200)):
        assert (await team.call("DELETE", f"/models/{model}"))[0] == status
    assert (await ours.call("DELETE", "/models/ft:m:o::1"))[0] == 404
    assert upstream.calls == 2


async def test_another_gateway_on_the_same_store_knows_it(shared: Shared, start: Start) -> None:
    made = await shared.ours.make("/vector_stores", {})
    there = await start(ALL, store=shared.gateway.store_url, name="b")
    assert (await Team(there, KEY).call("GET", f"/vector_stores/{made}"))[0] == 200
    assert (await Team(there, shared.theirs.key).call("GET", f"/vector_stores/{made}"))[0] == 404


async def test_a_stored_answer_is_never_given_to_a_second_asker(shared: Shared) -> None:
    for path, body in (
        ("/responses", RESPONSE),
        ("/responses", RESPONSE | {"store": True}),
        ("/chat/completions", {"model": "gpt-4o-mini", "messages": [], "store": True}),
    ):
        ids = {await shared.ours.make(path, body) for _ in range(3)}
        assert len(ids) == 3


async def test_ownership_may_be_off_for_everybody(start: Start, upstream: Scripted) -> None:
    upstream.plan(Keeper().answer())
    gateway = await start(ALL + 'ownership = "off"\n')
    shared = Shared(gateway, Keeper(), upstream, Team(gateway, KEY), Team(gateway, KEY))
    made = await shared.ours.make("/vector_stores", {})
    assert (await (await shared.key()).call("GET", f"/vector_stores/{made}"))[0] == 200
    assert (await (await shared.key(ownership="on")).call("GET", f"/vector_stores/{made}"))[0] == 404
