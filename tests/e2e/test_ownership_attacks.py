"""Somebody with a valid key goes after what another team has made, or after what the key may not use.

The upstream in here gives every object to whoever names it: what is not refused by the gateway has leaked.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from tests.conftest import Start
from tests.e2e.test_ownership import ALL, RESPONSE, Shared, Team
from tests.keeper import Keeper
from tests.running import KEY
from tests.scripted import Scripted
from tests.scripted import json as reply
from tests.web.raw import Raw, Response

FORWARD = ALL + 'unknown = "forward"\n'


async def two_teams(start: Start, upstream: Scripted, text: str = ALL) -> Shared:
    keeper = Keeper()
    upstream.plan(keeper.answer())
    gateway = await start(text)
    async with gateway.admin("POST", "/admin/v1/teams", {"name": "other"}) as made:
        assert made.status == 201
    shared = Shared(gateway, keeper, upstream, Team(gateway, KEY), Team(gateway, KEY))
    shared.theirs = await shared.key(team="other")
    return shared


@pytest.fixture
async def house(start: Start, upstream: Scripted) -> Shared:
    return await two_teams(start, upstream)


@pytest.fixture
async def open_house(start: Start, upstream: Scripted) -> Shared:
    return await two_teams(start, upstream, FORWARD)


async def said(
    team: Team,
    method: str,
    path: str,
    body: bytes = b"",
    kind: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The path exactly as it is written, and the body too. No content type where `kind` is empty."""
    lines = {"Host": "gateway", "Authorization": f"Bearer {team.key}", "Content-Length": str(len(body))}
    if kind:
        lines["Content-Type"] = kind
    text = "".join(f"{name}: {value}\r\n" for name, value in (lines | dict(headers or {})).items())
    async with Raw(team.gateway.app.listeners.public_port) as raw:
        await raw.send(f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode() + body)
        return await raw.response()


def heard(house: Shared, since: int, name: str) -> bool:
    """Whether the upstream was told this name after so many requests."""
    return any(
        name in seen.path or name.encode() in seen.body or name in str(seen.headers)
        for seen in house.upstream.requests[since:]
    )


async def fails(house: Shared, name: str, *how: Any, **more: Any) -> Response:
    """The same request as `said`, of the other team: refused, and nothing of it gets further."""
    asked = house.upstream.calls
    answer = await said(house.theirs, *how, **more)
    assert 400 <= answer.status < 500, (answer.status, answer.body)
    assert not heard(house, asked, name)
    return answer


# ---- ids in paths --------------------------------------------------------------------------------------

SPELLINGS = [
    "/v1/files/{}",
    "/v1/files/{}/",
    "/v1/files//{}",
    "/v1//files/{}",
    "//v1/files/{}",
    "/v1/files/./{}",
    "/v1/files/x/../{}",
    "/v1/files/%2e%2e/files/{}",
    "/v1/files/{}%2Fcontent",
    "/v1/files/{}%00",
    "/v1/files/{}%20",
    "/v1/files/{};x=1",
    "/v1/files/{}%3Fx",
    "/v1/files/{}%23",
    "/v1/Files/{}",
    "/V1/files/{}",
    "/openai/files/{}",
    "/openai/v1/files/{}",
    "/v1/openai/files/{}",
    "/openai/deployments/gpt-4o-mini/files/{}",
    "/v1/engines/gpt-4o-mini/files/{}",
    "/v1/files/{}/content",
    "/v1/files/{}/content/",
    "/v1/files/{}/Content",
    "/v1/files/{}/new",
    "/v1/files/{}?x=1",
    "/v1/files/{}?file_id=mine",
    "http://api.openai.com/v1/files/{}",
]


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PUT", "HEAD"])
@pytest.mark.parametrize("unknown", ["refuse", "forward"])
async def test_no_spelling_of_a_path_leads_to_what_others_have(
    start: Start, upstream: Scripted, unknown: str, method: str
) -> None:
    house = await two_teams(start, upstream, FORWARD if unknown == "forward" else ALL)
    file = await house.ours.upload()
    spelt = [
        file,
        file.upper(),
        "".join(f"%{ord(c):02x}" for c in file),
        file.replace("-", "%252D"),
        f"%20{file}",
    ]
    for pattern in SPELLINGS:
        for name in spelt:
            await fails(house, file, method, pattern.format(name))
    assert (await house.ours.call("GET", f"/files/{file}"))[0] == 200


async def test_what_nobody_knows_below_an_object_is_its_owners(open_house: Shared) -> None:
    house = open_house
    thread = await house.ours.make("/threads")
    for method, path in (
        ("GET", "/v1/threads/{}/new"),
        ("POST", "/v1/threads/{}/messages/x/new"),
        ("PUT", "/v1/threads/{}"),
        ("PATCH", "/openai/threads/{}/messages"),
        ("DELETE", "/v1/threads/{}/runs"),
        ("GET", "/v1/chatkit/threads/{}/new"),
        ("GET", "/v1/Threads/{}/new"),
        ("GET", "/v1/new/{}"),
        ("GET", "/v1/new/{}/new"),
        ("POST", "/v1/engines/gpt-4o-mini/threads/{}"),
    ):
        await fails(house, thread, method, path.format(thread))
    await house.ours.call("GET", f"/threads/{thread}/new")
    assert house.upstream.requests[-1].path == f"/v1/threads/{thread}/new"


@pytest.mark.parametrize("path", ["/responses", "/threads", "/conversations", "/uploads"])
async def test_a_list_that_nobody_knows_shows_ones_own_alone(open_house: Shared, path: str) -> None:
    house = open_house
    kind = path[1:]
    page = {"object": "list", "data": [{"id": "of_others"}], "has_more": False, "first_id": "of_others"}
    house.upstream.plan(reply(200, page))
    status, shown, _ = await house.theirs.call("GET", path)
    assert (status, shown["data"], shown["first_id"]) == (200, [], None), kind


# ---- ids in bodies -------------------------------------------------------------------------------------

STORE = '{"model":"gpt-4o-mini","input":"hi","tools":[{"type":"file_search",MORE}]}'
BODIES = [
    STORE.replace("MORE", '"vector_store_ids":["ID"]'),
    STORE.replace("MORE", '"vector_store_ids" \n:\t["ID"]'),
    STORE.replace("MORE", '"vector\\u005fstore_ids":["ID"]'),
    STORE.replace("MORE", '"\\u0076ector_store_ids":["ID"]'),
    STORE.replace("MORE", '"vector_store_ids":["mine","ID"]'),
    STORE.replace("MORE", '"vector_store_ids":[],"vector_store_ids":["ID"]'),
    STORE.replace("MORE", '"vector_store_ids":["ID"],"vector_store_ids":[]'),
    STORE.replace("MORE", '"vector_store_ids":"ID"'),
    STORE.replace("MORE", '"vector_store_ids":{"id":"ID"}'),
    STORE.replace("MORE", '"x":{"y":[[{"vector_store_id":"ID"}]]}'),
    '{"model":"gpt-4o-mini","prompt":{"id":"p","variables":{"a":{"file_id":"ID"}}}}',
    '{"model":"gpt-4o-mini","input":[{"role":"user","content":[{"type":"input_file","file_id":"ID"}]}]}',
    '{"model":"gpt-4o-mini","input":"x","conversation":"ID"}',
    '{"model":"gpt-4o-mini","input":"x","conversation":{"id":"ID"}}',
    '{"model":"gpt-4o-mini","input":"x","previous_response_id":"ID"}',
    '{"model":"gpt-4o-mini","input":"x","tools":[{"type":"code_interpreter","container":"ID"}]}',
    '{"model":"gpt-4o-mini","input":"x","tools":[{"type":"shell","environment":{"container_id":"ID"}}]}',
    '{"model":"gpt-4o-mini","input":"x","source":{"file_id":"ID"}}',
    '{"model":"gpt-4o-mini","input":"x","source":[{"file_id":"ID"}]}',
    '{"model":"gpt-4o-mini","input":"x","tools":[{"type":"image_generation","input_image_mask":'
    '{"file_id":"ID"}}]}',
]


@pytest.mark.parametrize("body", BODIES)
async def test_no_body_names_what_others_have(house: Shared, body: str) -> None:
    store = await house.ours.make("/vector_stores")
    name = store
    spelt = "".join(f"\\u{ord(c):04x}" for c in name)
    for each in (name, spelt):
        for prefix in (b"", b" \n", b"\xef\xbb\xbf"):
            data = prefix + body.replace("ID", each).encode()
            await fails(house, name, "POST", "/v1/responses", data)
            await fails(house, name, "POST", "/v1/responses", data, kind="")
            await fails(house, name, "POST", "/v1/responses", data, kind="text/plain")
            await fails(house, name, "POST", "/v1/responses", data.decode().encode("utf-16"))
            await fails(house, name, "POST", "/openai/v1/responses?api-version=preview", data)


@pytest.mark.parametrize("body", [b"[%b]", b'[{"file_id":"%b"}]', b'[[{"file_ids":["%b"]}]]'])
async def test_a_body_of_another_shape_is_looked_into_as_well(house: Shared, body: bytes) -> None:
    file = (await house.ours.upload()).encode()
    asked = house.upstream.calls
    answer = await said(house.theirs, "POST", "/v1/vector_stores", body % file)
    if b"file_id" in body:
        assert (answer.status, house.upstream.calls) == (404, asked)


async def test_a_body_that_names_very_many_objects_is_refused(house: Shared) -> None:
    """Each of them is a question to the store."""
    many = {"file_ids": [f"file-{number}" for number in range(20_000)]}
    status, answer, _ = await house.theirs.call("POST", "/vector_stores", many)
    assert (status, answer["error"]["code"]) == (400, "invalid_value")


@pytest.mark.parametrize("name", ["\ud800", "x" * 100_000, "a\r\nDEL *", "\x00", "{}", "file-%s", "\u202e"])
async def test_odd_ids_are_nobodys(house: Shared, name: str) -> None:
    for body in ({"file_ids": [name]}, {"vector_store_id": {"id": name}}):
        answer = await said(house.theirs, "POST", "/v1/vector_stores", json.dumps(body).encode())
        assert answer.status in (400, 404)
        assert len(answer.body) < 1000


async def test_a_source_that_is_everybodys(house: Shared) -> None:
    house.upstream.plan(reply(200, {"id": "eval_mine"}))
    await house.theirs.make("/evals")
    for source in ({"type": "responses"}, {"type": "stored_completions"}, [{"type": "responses"}]):
        body = {"data_source": {"type": "responses", "source": source}}
        asked = house.upstream.calls
        status, _, _ = await house.theirs.call("POST", "/evals/eval_mine/runs", body)
        assert status == 403
        assert house.upstream.calls == asked


# ---- forms ---------------------------------------------------------------------------------------------


def form(*parts: tuple[str, bytes], boundary: str = "limit") -> bytes:
    """Of heads, and what stands below them."""
    mark = f"--{boundary}".encode()
    return b"".join(
        mark + b"\r\n" + head.encode() + b"\r\n\r\n" + value + b"\r\n" for head, value in parts
    ) + (mark + b"--\r\n")


def named(name: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{more}'


BIG = (named("image", '; filename="a.png"'), b"\x89" * 700_000)
PROMPT = (named("prompt"), b"walk on")
FORM = "multipart/form-data; boundary=limit"


@pytest.mark.parametrize(
    "parts",
    [
        [(named("video[id]"), b"%b")],
        [BIG, PROMPT, (named("video[id]"), b"%b")],
        [PROMPT, (named("video"), b'{"id":"%b"}')],
        [PROMPT, (named("video") + "\r\nContent-Type: application/json", b'{"id":"%b"}')],
        [PROMPT, (named("video[ id ]"), b"%b")],
        [PROMPT, (named("Video[id]"), b"%b")],
        [PROMPT, (named("video.id"), b"%b")],
        [PROMPT, (named("video[id][]"), b"%b")],
        [PROMPT, (named("video%5Bid%5D"), b"%b")],
        [PROMPT, (named("video[id]"), b"mine"), (named("video[id]"), b"%b")],
        [PROMPT, (named("video[id]") + "\r\nContent-Transfer-Encoding: base64", b"%b")],
        [PROMPT, (named("video[id]", '; filename="x"'), b"%b")],
        [PROMPT, ("content-disposition: form-data; NAME=video[id]", b"%b")],
        [PROMPT, (named("x", '; name="video[id]"'), b"%b")],
        [PROMPT, (named("x", "; name*=utf-8''video%5Bid%5D"), b"%b")],
        [PROMPT, (named("video[id]"), b" %b")],
    ],
)
async def test_no_form_names_what_others_have(house: Shared, parts: list[tuple[str, bytes]]) -> None:
    name = await house.ours.upload()
    data = form(*((head, value.replace(b"%b", name.encode())) for head, value in parts))
    for path in ("/v1/videos/edits", "/v1/videos/extensions"):
        await fails(house, name, "POST", path, data, kind=FORM)


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "*/*",
        "text/plain, x",
    ],
)
async def test_what_says_not_what_it_is_is_not_passed_unread(house: Shared, kind: str) -> None:
    """There are servers that read JSON wherever they find it."""
    name = await house.ours.upload()
    body = {"video": {"id": name}, "prompt": "x", "model": "sora-2", "images": [{"file_id": name}]}
    for path in ("/v1/videos/edits", "/v1/videos", "/v1/images/edits", "/v1/realtime/calls"):
        await fails(house, name, "POST", path, json.dumps(body).encode(), kind=kind)


async def test_two_content_types_are_not_two_readings(house: Shared) -> None:
    name = await house.ours.upload()
    data = json.dumps({"video": {"id": name}, "prompt": "x"}).encode()
    for first, second in (("text/plain", "application/json"), ("application/json", "text/plain")):
        await fails(
            house, name, "POST", "/v1/videos/edits", data, kind=first, headers={"content-Type": second}
        )
    await fails(house, name, "POST", "/v1/videos/edits", data, headers={"Connection": "content-type"})


# ---- models --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"x", b'{"model":"gpt-4o-mini"}', b'{"model":null}'])
@pytest.mark.parametrize("kind", ["", "application/json", "text/plain"])
async def test_a_model_in_a_path_is_the_one_that_counts(house: Shared, body: bytes, kind: str) -> None:
    house.theirs = await house.key(team="other", models=["gpt-4o-mini"])
    for method in ("GET", "DELETE"):
        for name in ("ft:gpt-4o-mini:ours::1", "gpt-5", "org/model", "gpt-4o-mini%2F..%2Fgpt-5"):
            await fails(house, name, method, f"/v1/models/{name}", body, kind=kind)
    permissions = "/v1/fine_tuning/checkpoints/ft:gpt-5:ours::1/permissions"
    await fails(house, "ft:gpt-5:ours::1", "GET", permissions, body, kind=kind)


SESSION = b'{"type":"realtime","model":"gpt-realtime"}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b'{"model":"%b","messages":[]}'),
        ("/v1/chat/completions", b'{"model":"gpt-4o-mini","model":"%b","messages":[]}'),
        ("/v1/engines/%b/completions", b'{"prompt":"x"}'),
        ("/openai/deployments/%b/chat/completions?api-version=1", b'{"model":"gpt-4o-mini","messages":[]}'),
        ("/openai/deployments/gpt-realtime/embeddings", b'{"input":"%b"}'),
        ("/v1/realtime/client_secrets", b'{"session":{"type":"realtime","model":"%b"}}'),
        ("/v1/realtime/client_secrets", b'{"session":{"type":"realtime","mod\\u0065l":"%b"}}'),
        ("/v1/realtime/client_secrets", b'{"session":{"audio":{"input":{"transcription":{"model":"%b"}}}}}'),
        ("/v1/realtime/calls/rtc_1/accept", b'{"type":"realtime","model":"%b"}'),
        (
            "/v1/responses",
            b'{"model":"gpt-4o-mini","input":"x","tools":[{"type":"image_generation","model":"%b"}]}',
        ),
        ("/v1/fine_tuning/alpha/graders/run", b'{"grader":{"type":"score_model","model":"%b"}}'),
        ("/v1/evals", b'{"testing_criteria":[{"type":"score_model","model":"%b"}]}'),
        ("/v1/fine_tuning/jobs", b'{"model":"%b"}'),
        ("/v1/assistants", b'{"model":"%b"}'),
        ("/v1/threads/runs", b'{"model":"%b"}'),
        ("/v1/videos", b'{"model":"%b","prompt":"x"}'),
        ("/v1/moderations", b'{"model":"%b","input":"x"}'),
    ],
)
async def test_no_request_names_a_model_that_its_key_may_not_use(
    house: Shared, path: str, body: bytes
) -> None:
    house.theirs = await house.key(team="other", models=["gpt-4o-mini"])
    name = "gpt-realtime"
    answer = await fails(house, name, "POST", path.replace("%b", name), body.replace(b"%b", name.encode()))
    assert answer.status in (400, 403, 404), answer.body


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/v1/videos", [PROMPT, (named("model"), b"gpt-realtime")]),
        ("/v1/videos", [BIG, PROMPT, (named("model"), b"gpt-realtime")]),
        ("/v1/realtime/calls", [(named("sdp"), b"v=0"), (named("session"), SESSION)]),
        ("/v1/realtime/calls", [(named("sdp"), b"v=0"), (named("session[model]"), b"gpt-realtime")]),
        ("/v1/audio/transcriptions", [BIG, (named("model"), b"gpt-realtime")]),
        ("/openai/deployments/gpt-realtime/audio/transcriptions", [BIG, (named("model"), b"gpt-4o-mini")]),
        ("/v1/images/edits", [BIG, (named("Model"), b"gpt-realtime"), (named("model"), b"gpt-4o-mini")]),
    ],
)
async def test_no_form_names_a_model_that_its_key_may_not_use(
    house: Shared, path: str, parts: list[tuple[str, bytes]]
) -> None:
    house.theirs = await house.key(team="other", models=["gpt-4o-mini"])
    await fails(house, "gpt-realtime", "POST", path, form(*parts), kind=FORM)


async def test_who_may_use_some_models_has_to_say_which(house: Shared) -> None:
    """Where OpenAI would choose one, or leave the choice to whoever holds the secret."""
    house.theirs = await house.key(team="other", models=["gpt-4o-mini"])
    for path, body in (("/v1/videos", {"prompt": "x"}), ("/v1/realtime/client_secrets", {})):
        answer = await fails(house, "prompt", "POST", path, json.dumps(body).encode())
        assert answer.code == "missing_model"
    await fails(house, "prompt", "POST", "/v1/videos", form(PROMPT), kind=FORM)


async def test_what_a_client_invents_is_no_model(house: Shared) -> None:
    house.theirs = await house.key(team="other", models=["gpt-4o-mini"])
    body = RESPONSE | {
        "metadata": {"model": "x"},
        "tools": [
            {"type": "function", "name": "f", "parameters": {"properties": {"model": {"enum": ["x"]}}}}
        ],
        "input": 'a text with "model": "x"',
    }
    assert (await house.theirs.call("POST", "/responses", body))[0] == 200


# ---- groups --------------------------------------------------------------------------------------------


async def test_a_group_that_is_closed_has_no_back_door(start: Start, upstream: Scripted) -> None:
    text = '[endpoints]\nallow = ["inference"]\nunknown = "forward"\n'
    house = await two_teams(start, upstream, text)
    for method, path in (
        ("GET", "/v1/files"),
        ("GET", "/v1/files/"),
        ("GET", "/v1//files"),
        ("GET", "/v1/Files"),
        ("GET", "/v1/files/x/new"),
        ("PUT", "/v1/files"),
        ("GET", "/v1/organization/new"),
        ("GET", "/v1/organization/projects"),
        ("GET", "/v1/ORGANIZATION/projects"),
        ("GET", "/v1/v1/files"),
        ("GET", "/v1/openai/v1/files"),
        ("GET", "/openai/openai/files"),
        ("GET", "/v1/%66iles"),
        ("DELETE", "/v1/models/gpt-4o-mini"),
        ("DELETE", "/v1/models/gpt-4o-mini/"),
        ("DELETE", "/v1/Models/gpt-4o-mini"),
        ("POST", "/v1/audio/voices"),
        ("GET", "/v1/realtime/new"),
        ("GET", "/v1/projects/p/new"),
    ):
        asked = house.upstream.calls
        answer = await said(house.theirs, method, path)
        assert answer.status in (403, 404, 405), (method, path, answer.body)
        assert house.upstream.calls == asked, path


# ---- lists ---------------------------------------------------------------------------------------------


async def test_a_list_does_not_tell_the_ids_of_others(house: Shared) -> None:
    """With these a batch, whose lines nobody reads, could name them."""
    made = [await house.ours.make("/vector_stores") for _ in range(60)]
    mine = await house.theirs.make("/vector_stores")
    for query in ("", "?limit=1", "?limit=2", "?limit=1&order=asc", "?limit=100"):
        answer = await said(house.theirs, "GET", f"/v1/vector_stores{query}")
        assert answer.status == 200
        for name in made:
            assert json.dumps(name).encode() not in answer.body, (query, answer.body)
        page = json.loads(answer.body)
        assert page["data"] or page["has_more"] or query == ""
    assert mine in await house.theirs.listed("/vector_stores", 100)


async def test_where_a_page_is_empty_its_last_id_leads_on(house: Shared) -> None:
    for _ in range(45):
        await house.ours.make("/vector_stores")
    mine = await house.theirs.make("/vector_stores")
    query, seen = "?limit=1", []
    for _ in range(5):
        _, page, _ = await house.theirs.call("GET", f"/vector_stores{query}")
        seen += [each["id"] for each in page["data"]]
        if not page["has_more"]:
            break
        query = f"?limit=1&after={page['last_id']}"
    assert seen == [mine]
    assert "after=vs_" in house.upstream.requests[-1].path, "the upstream is told its own ids"


async def test_a_cursor_is_good_for_its_owner_alone(house: Shared) -> None:
    for _ in range(25):
        await house.ours.make("/vector_stores")
    _, page, _ = await house.theirs.call("GET", "/vector_stores?limit=1")
    cursor = page["last_id"]
    third = await house.key()
    for forged in (cursor[:-1] + ("A" if cursor[-1] != "A" else "B"), cursor + "x", cursor[:12]):
        asked = house.upstream.calls
        status, _, _ = await house.theirs.call("GET", f"/vector_stores?limit=1&after={forged}")
        assert (status, house.upstream.calls) == (400, asked)
    status, _, _ = await third.call("GET", f"/vector_stores?limit=1&after={cursor}")
    assert status == 400


# ---- who owns it ---------------------------------------------------------------------------------------


async def test_an_id_that_is_somebodys_is_never_taken_over(house: Shared) -> None:
    ours = await house.ours.make("/vector_stores")
    house.upstream.plan(reply(200, {"id": ours, "object": "vector_store"}))
    await house.theirs.call("POST", "/vector_stores", {})
    assert (await house.theirs.call("GET", f"/vector_stores/{ours}"))[0] == 404
    assert (await house.ours.call("GET", f"/vector_stores/{ours}"))[0] == 200


@pytest.mark.parametrize("id", [["a", "b"], {"id": "a"}, 7, None, True, "", [], "x" * 100_000, "\u0000\r\n"])
async def test_an_answer_with_an_odd_id_does_no_harm(house: Shared, id: Any) -> None:
    house.upstream.plan(reply(200, {"id": id, "object": "vector_store"}))
    assert (await house.theirs.call("POST", "/vector_stores", {}))[0] == 200
    assert (await house.theirs.call("GET", "/vector_stores/a"))[0] == 404


async def test_errors_that_name_an_object_give_it_to_nobody(house: Shared) -> None:
    house.upstream.plan(reply(409, {"id": "vs_elsewhere", "error": {"message": "vs_elsewhere"}}))
    await house.theirs.call("POST", "/vector_stores", {})
    assert (await house.theirs.call("GET", "/vector_stores/vs_elsewhere"))[0] == 404


async def test_a_failed_deletion_gives_nothing_away(house: Shared) -> None:
    ours = await house.ours.make("/vector_stores")
    house.upstream.plan(reply(500, {"error": {"message": "no"}}))
    assert (await house.ours.call("DELETE", f"/vector_stores/{ours}"))[0] == 500
    house.upstream.plan(house.keeper.answer())
    assert (await house.ours.call("GET", f"/vector_stores/{ours}"))[0] == 200


async def test_an_operator_who_looks_does_not_take_what_others_made(house: Shared) -> None:
    """A batch's output gets its id long after the batch: whoever sees it first must not be its owner."""
    file = await house.ours.upload()
    body = {"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"}
    batch = house.keeper.make("batches", output_file_id=None)
    house.upstream.plan(reply(200, batch))
    assert await house.ours.make("/batches", body) == batch["id"]
    output = house.keeper.make("files")["id"]
    batch["output_file_id"] = output
    house.upstream.plan(house.keeper.answer())
    operator = await house.key(ownership="off")
    assert (await operator.call("GET", "/batches"))[1]["data"][0]["output_file_id"] == output
    assert (await operator.call("GET", f"/batches/{batch['id']}"))[0] == 200
    assert (await house.ours.call("GET", f"/batches/{batch['id']}"))[0] == 200
    assert (await house.ours.call("GET", f"/files/{output}/content"))[0] == 200
    assert (await house.theirs.call("GET", f"/files/{output}/content"))[0] == 404


async def test_a_key_that_moves_leaves_what_its_team_has(house: Shared) -> None:
    async with house.gateway.admin("POST", "/admin/v1/keys", {"name": "m", "team": "other"}) as made:
        record = await made.json()
    mover, table = Team(house.gateway, record["key"]), house.gateway.gateway.clients
    theirs, ours = await mover.make("/vector_stores"), await house.ours.make("/vector_stores")
    stored = table.key(record["id"])
    assert stored is not None
    table.put_key(stored.id, msgspec.structs.replace(stored, team="research"))
    assert (await mover.call("GET", f"/vector_stores/{theirs}"))[0] == 404
    assert (await mover.call("GET", f"/vector_stores/{ours}"))[0] == 200
    assert (await house.theirs.call("GET", f"/vector_stores/{theirs}"))[0] == 200


async def test_a_team_that_is_called_like_a_key_is_not_that_key(house: Shared) -> None:
    async with house.gateway.admin("POST", "/admin/v1/keys", {"name": "lonely"}) as made:
        record = await made.json()
    lonely = Team(house.gateway, record["key"])
    made_alone = await lonely.make("/vector_stores")
    async with house.gateway.admin("POST", "/admin/v1/teams", {"name": record["id"]}) as team:
        assert team.status == 201
    namesake = await house.key(team=record["id"])
    assert (await namesake.call("GET", f"/vector_stores/{made_alone}"))[0] == 404
    assert (await lonely.call("GET", f"/vector_stores/{made_alone}"))[0] == 200


async def test_a_record_that_has_expired_is_nobodys(house: Shared) -> None:
    made = await house.ours.make("/responses", RESPONSE)
    assert house.gateway.gateway.owners is not None
    await house.gateway.gateway.owners._owners.forget([made])
    assert (await house.theirs.call("GET", f"/responses/{made}"))[0] == 404
    body = RESPONSE | {"previous_response_id": made}
    assert (await house.theirs.call("POST", "/responses", body))[0] == 400


# ---- the cache -----------------------------------------------------------------------------------------


async def test_a_shared_answer_opens_nothing(start: Start, upstream: Scripted) -> None:
    house = await two_teams(start, upstream, ALL + '[cache]\nscope = "all"\n')
    file = await house.ours.upload()
    with_file = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": file}}]}],
    }
    plain = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    upstream.plan()
    for body in (with_file, plain):
        assert (await house.ours.call("POST", "/chat/completions", body))[0] == 200
    assert (await house.theirs.call("POST", "/chat/completions", with_file))[0] == 404
    status, answer, headers = await house.theirs.call("POST", "/chat/completions", plain)
    assert (status, headers["x-gateway-cache"]) == (200, "hit")
    assert (await house.theirs.call("GET", f"/chat/completions/{answer['id']}"))[0] == 404


# ---- the query -----------------------------------------------------------------------------------------


async def test_a_query_does_not_say_whose_thing_is_meant(house: Shared) -> None:
    ours, mine = await house.ours.make("/threads"), await house.theirs.make("/threads")
    for query in (f"thread_id={ours}", f"id={ours}", f"include[]={ours}", f"after={ours}"):
        answer = await said(house.theirs, "GET", f"/v1/threads/{mine}?{query}")
        assert answer.status == 200
        assert house.upstream.requests[-1].path.startswith(f"/v1/threads/{mine}?")
