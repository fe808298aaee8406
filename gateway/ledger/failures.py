"""What goes wrong with the ledger's database. No message holds an address, a credential or a row."""

from gateway.errors import GatewayError


class SinkUnavailable(GatewayError):
    """The database does not answer, or did not do what it was asked. Trying again may help."""

    status = 503
    type = "service_unavailable_error"
    code = "ledger_unavailable"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_ms=1000)


class SinkMisconfigured(ValueError):
    """The sink can never work as configured. The message says what to change."""
