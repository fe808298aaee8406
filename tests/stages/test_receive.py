"""The body passes as it is; what is in its way is refused in words."""

import pytest

from tests import books
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted
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
