from gateway.errors import body_of
from gateway.web.conflict import Conflict


def test_a_conflict_is_a_409_with_its_reason() -> None:
    error = Conflict("It is declared.", code="declared_in_configuration")
    assert error.status == 409
    assert b'"code":"declared_in_configuration"' in body_of(error)
