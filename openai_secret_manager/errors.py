"""What this package raises."""


class SecretNotFound(LookupError):
    """There is no key that may be used. The message says how to provide one, and never quotes one."""
