from gateway.policy.operation import Charge
from gateway.policy.operations_organization import ORGANIZATION
from gateway.policy.ownership import in_path


def test_all_of_it_is_one_group_which_costs_nothing() -> None:
    assert {row.group for row in ORGANIZATION} == {"organization"}
    assert {row.charge for row in ORGANIZATION} == {Charge.FREE}


def test_what_belongs_to_the_account_belongs_to_no_client() -> None:
    assert not [row for row in ORGANIZATION if row.creates or row.lists]
    assert not [row for row in ORGANIZATION if in_path(row, {"project_id": "proj_1", "user_id": "user_1"})]
