"""What the supervisor and a worker say to each other."""

from typing import Literal

import msgspec

from gateway.settings import Upstream

Topic = Literal["metrics", "upstreams", "heard"]


class Serve(msgspec.Struct, tag="serve"):
    """The first message: where the store is, and the local model with its key, if there is one."""

    store_url: str
    local: Upstream | None = None
    local_key: str = ""

    def __repr__(self) -> str:
        return "<Serve>"


class Ask(msgspec.Struct, tag="ask"):
    topic: Topic


class Changed(msgspec.Struct, tag="changed"):
    """As `store.base.Change`; `number` is said back when it is known."""

    number: int
    kind: Literal["key", "team", "all"]
    id: str


class Drain(msgspec.Struct, tag="drain"):
    """Accept nobody else, finish what was begun, and end."""


class Hurry(msgspec.Struct, tag="hurry"):
    """Do not wait for what was begun."""


class Accepting(msgspec.Struct, tag="accepting"):
    """The worker serves."""


class Failed(msgspec.Struct, tag="failed"):
    """The worker cannot start, and ends. The reason is in words, for people."""

    reason: str


class Answer(msgspec.Struct, tag="answer"):
    topic: Topic
    body: bytes


class Known(msgspec.Struct, tag="known"):
    number: int


class Health(msgspec.Struct):
    """One upstream as a worker saw it. `at` is when its last call ended, by the monotonic clock; 0: never."""

    at: float
    status: dict[str, str | int | float | bool | None]


class Heard(msgspec.Struct, array_like=True):
    """What the store last said of a limit to one worker: so much was `used` at `at` (ms)."""

    scope: str
    text: str
    used: int
    at: int


ToWorker = Serve | Ask | Changed | Drain | Hurry
FromWorker = Accepting | Failed | Answer | Known
