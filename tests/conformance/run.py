"""The conformance run: every case, one after the other, against one mock server and through one gateway."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.conformance.comparison import Call, call, differences
from tests.conformance.generate import Case, Request, request
from tests.conformance.mock import FAULTS, mock, passed_to
from tests.running import configuration, running
from tests.scripted import Answer, Scripted, Seen, Wire, openai

# What the gateway reads to the end itself, so that it must end as OpenAI's do: the mock's streams do not.
_STREAMED_BY_US: Final = frozenset({"createChatCompletion", "createResponse", "beta_createResponse"})

CONFIGURATION: Final = """
ownership = "off"
[endpoints]
allow = ["all"]
"""


@dataclass(frozen=True, slots=True)
class Result:
    """`complaints` are the mock's of the direct request; `differences` are of the one through the gateway."""

    complaints: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not self.complaints and not self.differences


async def run(
    binary: Path, description: Path, cases: Iterable[Case], seed: int, folder: Path
) -> dict[str, Result]:
    """Each case's result, by its name."""
    async with mock(binary, description) as port, Scripted() as upstream:
        text = configuration(upstream.base_url, folder / "data", CONFIGURATION)
        async with running(text, folder) as gateway:
            public = gateway.app.listeners.public_port
            return {str(case): await _one(case, seed, upstream, public, port) for case in cases}


async def _one(case: Case, seed: int, upstream: Scripted, gateway: int, mock: int) -> Result:
    asked = request(case, seed)
    excused = {"x-steady-reject-on-error": "false"} if case.operation.name in FAULTS else {}
    validating = passed_to(mock, excused)
    try:
        direct = await _ask(upstream, validating, upstream.port, asked)
        refused = tuple(complaints(case, direct))
        answering = validating
        if case.stream and case.operation.name in _STREAMED_BY_US:
            answering = _openai()
            direct = await _ask(upstream, answering, upstream.port, asked)
        through = await _ask(upstream, answering, gateway, asked)
    except (OSError, EOFError, TimeoutError) as error:
        return Result(differences=(f"no answer: {error!r}",))
    return Result(refused, tuple(differences(direct, through)))


def _openai() -> Answer:
    """The same answer each time: what the imitation numbers is the first."""

    async def send(seen: Seen, wire: Wire) -> None:
        await openai().send(replace(seen, number=1), wire)

    return Answer(send)


async def _ask(upstream: Scripted, answer: Answer, port: int, asked: Request) -> Call:
    upstream.plan(answer)
    return await call(port, asked, upstream)


def complaints(case: Case, answered: Call) -> Iterator[str]:
    """What the mock says of the request, but for the faults that it is known for."""
    response, headers = answered.response, answered.response.headers
    if "x-steady-matched-path" not in headers or response.status >= 400:
        yield f"status {response.status}: {response.body[:300]!r}"
    fault = FAULTS.get(case.operation.name)
    for number in range(1, int(headers.get("x-steady-error-count", 0)) + 1):
        place = headers.get(f"x-steady-error-{number}-path", "")
        if fault is None or not place.startswith(fault.place):
            yield f"{place}: {headers.get(f'x-steady-error-{number}-message')}"


def table(results: Mapping[str, Result]) -> str:
    """Every case that is not good, a line for each fault of it."""
    lines = []
    for name, result in results.items():
        faults = [f"refused by the mock: {one}" for one in result.complaints] + list(result.differences)
        lines += [f"{name:44} {fault}" for fault in faults]
    return "\n".join(lines)
