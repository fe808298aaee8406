"""Every operation of OpenAI's description, directly and through the gateway: byte for byte the same.

The description is read where `OPENAI_SPEC` or the folder beside the project has it. `CONFORMANCE_SEED` makes
other requests than the usual ones.
"""

import asyncio
import os
from collections.abc import Mapping

import pytest

from tests.clients.packages import installed
from tests.conformance.comparison import call
from tests.conformance.generate import Case, Request, plain, variants
from tests.conformance.mock import BINARY, mock, passed_to
from tests.conformance.run import Result, complaints, run, table
from tests.conformance.specification import operations
from tests.scripted import Scripted
from tests.spec import needs_spec, path_of_spec

SEED = int(os.environ.get("CONFORMANCE_SEED", "1"))
PLAIN = [plain(operation) for operation in operations()]
VARIANTS = [case for operation in operations() for case in variants(operation)]

# One mock and one gateway for all of them, in one worker.
pytestmark = [pytest.mark.xdist_group("conformance"), needs_spec]

Results = Mapping[str, Result]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("conformance")
    return asyncio.run(run(installed(BINARY), path_of_spec(), [*PLAIN, *VARIANTS], SEED, folder))


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_operation(case: Case, results: Results) -> None:
    assert results[str(case)] == Result()


@pytest.mark.parametrize("case", VARIANTS, ids=str)
def test_other_ways_to_ask(case: Case, results: Results) -> None:
    """With the other bodies that the operation takes, and for a stream."""
    assert results[str(case)] == Result()


async def test_the_mock_would_refuse_others() -> None:
    """That nothing is complained of says something."""
    headers = (("content-type", "application/json"),)
    bad = Request("POST", "/chat/completions", headers, b'{"model": 3, "messages": []}')
    async with mock(installed(BINARY), path_of_spec()) as port, Scripted() as upstream:
        upstream.plan(passed_to(port, {}))
        answered = await call(upstream.port, bad, upstream)
    assert answered.response.status == 400
    assert list(complaints(PLAIN[0], answered))


def test_all_of_them(results: Results) -> None:
    assert len(results) == len(PLAIN) + len(VARIANTS)
    assert all(result.good for result in results.values()), "\n" + table(results)
