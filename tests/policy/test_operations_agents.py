import re

from gateway.policy.operation import Charge
from gateway.policy.operations_agents import AGENTS, REALTIME
from gateway.policy.ownership import KINDS


def test_groups() -> None:
    assert {row.group for row in AGENTS} == {"agents"}
    assert {row.group for row in REALTIME} == {"realtime"}


def test_whatever_is_made_here_is_known_again_by_its_place() -> None:
    made = {row.creates for row in (*AGENTS, *REALTIME) if row.creates}
    places = {place for row in (*AGENTS, *REALTIME) for place in re.findall(r"\{(\w+)\}", row.path)}
    assert made == {KINDS[place] for place in places & KINDS.keys()}


def test_sessions_of_agents_and_of_speech_are_not_those_of_chatkit() -> None:
    assert not [row for row in (*AGENTS, *REALTIME) if "{session_id}" in row.path]


def test_a_session_that_states_its_usage_is_metered_by_it() -> None:
    sockets = {row.name: row.charge for row in REALTIME if row.socket}
    assert sockets["realtime"] is Charge.USAGE
    assert sockets["live.connect"] is Charge.FEE
