"""One operation of OpenAI's API: what it is like, and how a row of the table is written."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Body(StrEnum):
    """How a request's body travels."""

    NONE = "none"  # there should be none; one that comes all the same is passed on unread
    JSON = "json"  # read once, whole
    FORM = "form"  # multipart or whatever it is: passed on as it arrives. JSON, where it says so, is read


class Charge(StrEnum):
    """How it is known what a call costs."""

    USAGE = "usage"  # its answer says what was used
    FEE = "fee"  # it costs what no answer says: `prices.operations` says what it is counted as
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation. `path` is the pattern below `/v1`; `name` is its label in logs and metrics.

    `streams`: its answer may be a stream of events. `judged`: an answer that is neither JSON nor the stream
    that was asked for is no answer, and what the gateway reads of it is known in full (chat completions,
    responses, …); all others are passed on as they are. `model`: where a body has to name one. `creates` and
    `lists` are kinds of objects with an owner (`policy.ownership.KINDS`): what a success brings into being,
    and what it shows many of. `socket`: a WebSocket.
    """

    name: str
    method: str
    path: str
    group: str
    body: Body = Body.NONE
    charge: Charge = Charge.FREE
    streams: bool = False
    cacheable: bool = False
    judged: bool = False
    model: bool = False
    creates: str = ""
    lists: str = ""
    socket: bool = False


def grouped(group: str, *rows: Endpoint) -> tuple[Endpoint, ...]:
    """The rows, as those of one group."""
    return tuple(replace(row, group=group) for row in rows)


def get(name: str, path: str, *, streams: bool = False, lists: str = "") -> Endpoint:
    """What only shows."""
    return Endpoint(name, "GET", path, "", streams=streams, lists=lists)


def post(
    name: str, path: str, charge: Charge = Charge.FREE, *, streams: bool = False, creates: str = ""
) -> Endpoint:
    """A POST of JSON."""
    return Endpoint(name, "POST", path, "", Body.JSON, charge, streams, creates=creates)


def form(
    name: str, path: str, charge: Charge = Charge.FREE, *, streams: bool = False, creates: str = ""
) -> Endpoint:
    """A POST of a form, or of whatever else is not only JSON."""
    return Endpoint(name, "POST", path, "", Body.FORM, charge, streams, creates=creates)


def act(name: str, path: str, charge: Charge = Charge.FREE) -> Endpoint:
    """A POST without a body."""
    return Endpoint(name, "POST", path, "", Body.NONE, charge)


def delete(name: str, path: str) -> Endpoint:
    return Endpoint(name, "DELETE", path, "")


def socket(name: str, path: str, charge: Charge, creates: str = "") -> Endpoint:
    """A WebSocket: a GET with an upgrade (RFC 6455)."""
    return Endpoint(name, "GET", path, "", Body.NONE, charge, creates=creates, socket=True)
