"""The refusal of a change that what is there does not allow."""

from gateway.errors import GatewayError


class Conflict(GatewayError):
    """`code` is one of declared_in_configuration, team_exists, team_in_use."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"
