import pytest

from gateway.policy.operation import Charge
from gateway.policy.operations_stored import (
    ASSISTANTS,
    BATCHES,
    CHATKIT,
    CONTAINERS,
    CONVERSATIONS,
    EVALS,
    FILES,
    FINE_TUNING,
    SKILLS,
    VECTOR_STORES,
    VIDEOS,
    VOICES,
)

ROOMS = {
    "assistants": ASSISTANTS,
    "batches": BATCHES,
    "chatkit": CHATKIT,
    "containers": CONTAINERS,
    "conversations": CONVERSATIONS,
    "evals": EVALS,
    "files": FILES,
    "fine_tuning": FINE_TUNING,
    "skills": SKILLS,
    "vector_stores": VECTOR_STORES,
    "videos": VIDEOS,
    "voices": VOICES,
}


@pytest.mark.parametrize("group", ROOMS)
def test_a_room_is_a_group(group: str) -> None:
    assert {row.group for row in ROOMS[group]} == {group}


@pytest.mark.parametrize("group", ROOMS)
def test_what_is_stored_has_a_maker_and_none_of_it_is_metered_by_its_answer(group: str) -> None:
    assert any(row.creates for row in ROOMS[group])
    assert all(row.charge is not Charge.USAGE for row in ROOMS[group])
