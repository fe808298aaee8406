"""A plain answer, read once: whether it is JSON at all, what it used, and whether it is worth keeping."""

from typing import Any, Final

import msgspec

from gateway.policy import frozen
from gateway.policy.counts import read_usage, tier_of
from gateway.policy.entry import PlainChoice, worth_keeping_plain, worth_keeping_read
from gateway.policy.jsonbytes import parse
from gateway.policy.records import Usage
from gateway.policy.tools import calls_of
from gateway.policy.usage import usage_of


@frozen.dataclass(frozen=True, slots=True)
class Whole:
    """What a successful answer says. `worth`: a cache may keep it."""

    usage: Usage | None
    worth: bool


class _Answer(msgspec.Struct, gc=False):
    usage: Any = None
    service_tier: Any = None
    output: msgspec.Raw = msgspec.Raw()
    error: Any = None
    choices: list[PlainChoice] = []
    data: list[msgspec.Raw] = []
    results: list[msgspec.Raw] = []
    status: Any = None


# Whatever a shape does not name is read too, and has to be JSON: see the tests, which hold this of msgspec.
_ANSWER: Final = msgspec.json.Decoder(_Answer)
_SYNTAX: Final = msgspec.json.Decoder(msgspec.Raw)


def read_whole(endpoint: str, status: int, content_type: str, body: bytes) -> Whole | None:
    """None: it is no JSON. One look at the body, not three, unless its shape is one that nobody expects."""
    answer = parse(_ANSWER, body)
    if answer is None:
        if parse(_SYNTAX, body) is None:
            return None
        return Whole(usage_of(endpoint, body), worth_keeping_plain(endpoint, status, content_type, body))
    calls = calls_of(answer.output) if endpoint == "responses" else {}
    return Whole(
        read_usage(endpoint, answer.usage, tier_of(answer.service_tier), calls),
        worth_keeping_read(endpoint, status, content_type, answer),
    )
