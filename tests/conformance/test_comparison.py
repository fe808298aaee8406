"""What the run calls a difference: whatever the upstream or the client could notice."""

from dataclasses import replace

import pytest

from tests.conformance.comparison import Call, differences
from tests.running import KEY, REAL_KEY
from tests.scripted import Seen
from tests.web.raw import Response

HEADERS = [("Host", "a"), ("authorization", f"Bearer {REAL_KEY}"), ("accept", "application/json")]
ANSWER = Response(200, {"content-type": "application/json", "date": "today"}, b"{}")


def call(
    target: str = "/v1/files?a=1", body: bytes = b"x", answer: Response = ANSWER, more: str = "accept"
) -> Call:
    return Call(Seen("POST", target, [*HEADERS, (more, "application/json")], body), answer)


def test_what_may_differ() -> None:
    own = {"x-gateway-request-id": "1", "x-ratelimit-limit-requests": "2", "content-length": "2"}
    through = call(answer=replace(ANSWER, headers={"content-type": "application/json", **own}))
    assert through.seen is not None
    through.seen.headers[0] = ("host", "b")
    through.seen.headers += [("user-agent", "gateway"), ("content-length", "0")]
    assert not list(differences(call(), through))


@pytest.mark.parametrize(
    ("through", "named"),
    [
        (call(target="/v1/files"), "request target"),
        (call(body=b"y"), "request body"),
        (call(more="x-stainless-lang"), "request headers"),
        (call(answer=replace(ANSWER, status=201)), "answer status"),
        (call(answer=replace(ANSWER, body=b"{ }")), "answer body"),
        (call(answer=replace(ANSWER, whole=False)), "cut off"),
        (call(answer=replace(ANSWER, headers={})), "content-type"),
        (call(answer=replace(ANSWER, headers=ANSWER.headers | {"etag": "1"})), "etag"),
        (Call(None, ANSWER), "did not arrive"),
    ],
)
def test_what_may_not(through: Call, named: str) -> None:
    (only,) = differences(call(), through)
    assert named in only


def test_keys() -> None:
    through = call()
    assert through.seen is not None
    through.seen.headers[1] = ("authorization", f"Bearer {KEY}")
    assert len(list(differences(call(), through))) == 2
